"""``python -m include.backup``, also installed as ``holdfast``."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

_COLLECT: Final = (50_000, 20, 100)


def run() -> None:
    """Run the command line and exit."""
    # numpy would start a thread for each processor, which we have no use for.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Libraries make hundreds of thousands of objects that live as long as the process: they are
    # looked through less often while they are made, and not once more at the end.
    gc.set_threshold(*_COLLECT)
    from include.backup.cli.main import main  # noqa: PLC0415  see above

    code = main()
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    run()
