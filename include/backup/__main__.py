"""``python -m include.backup``, also installed as ``holdfast``."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command line and exit."""
    # numpy would start a thread for each processor, which we have no use for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from include.backup.cli.main import main  # noqa: PLC0415  see above

    sys.exit(main())


if __name__ == "__main__":
    run()
