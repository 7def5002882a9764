"""Stock restic judges here, too."""

from tests.interop.conftest import restic

__all__ = ["restic"]
