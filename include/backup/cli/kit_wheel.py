"""A wheel of the engine alone, for the rescue kit: no Airflow, nothing that no restore needs.

The wheel that pyproject.toml makes needs all that a scheduler needs. This one holds the same files
of `include.backup`, and asks for less. It is put together by hand, so that no build tool is needed
and the same files make the same wheel.

Source: Binary distribution format (PyPA), "File contents" and "The .dist-info directory".
"""

from __future__ import annotations

import base64
import zipfile
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# What `restore`, `check`, `keys export` and the like load. Not here: Airflow; Great Expectations
# and pandas, which judge verifications; pyfastcdc, which only a backup needs.
NEEDS: Final = (
    "boto3",
    "croniter",
    "cryptography",
    "numpy",
    "pathspec",
    "psycopg[binary]",
    "PyMySQL",
    "PyYAML",
    "zstandard",
)
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold
_ENDINGS: Final = (".py", ".yaml")


def engine_wheel(root: Path, version: str) -> tuple[str, bytes]:
    """The name and the bytes of a wheel of the engine.

    Args:
        root: of the project.
        version: of the project; that of the wheel says besides that it is for a rescue.
    """
    version = f"{version}+rescue"
    info = f"holdfast-{version}.dist-info"
    files = {
        str(path.relative_to(root)): path.read_bytes()
        for part in ("backup", "config")
        for path in sorted((root / "include" / part).rglob("*"))
        if path.suffix in _ENDINGS and path.is_file()
    }
    files["include/__init__.py"] = (root / "include" / "__init__.py").read_bytes()
    files |= {
        f"{info}/METADATA": _metadata(version).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: holdfast rescue-kit\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\nholdfast = include.backup.__main__:run\n",
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD").encode()
    return f"holdfast-{version}-py3-none-any.whl", _zip(files)


def _metadata(version: str) -> str:
    needs = "".join(f"Requires-Dist: {name}\n" for name in NEEDS)
    return (
        f"Metadata-Version: 2.1\nName: holdfast\nVersion: {version}\n"
        f"Summary: Holdfast as far as a restore needs it\nRequires-Python: >=3.11\n{needs}"
    )


def _record(files: Mapping[str, bytes], own: str) -> str:
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(sha256(data).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    return "".join([*lines, f"{own},,\n"])


def _zip(files: Mapping[str, bytes]) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=_DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return made.getvalue()
