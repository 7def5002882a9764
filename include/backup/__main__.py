"""``python -m include.backup``, also installed as ``holdfast``."""

from __future__ import annotations

import sys

from include.backup.cli.main import main


def run() -> None:
    """Run the command line and exit."""
    sys.exit(main())


if __name__ == "__main__":
    run()
