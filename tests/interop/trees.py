"""Directory trees for tests: drawn at random, made on disk, and changed.

A plan is a tree as a value, {name: entry}; `grow` makes it on disk, `apply` changes what is there.
"""

# Paths are bytes, which pathlib does not take: names need not be text.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH112, PTH113, PTH114, PTH116, PTH123, PTH208, PTH211

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from include.backup.format.chunker import MAX_BYTES, MIN_BYTES
from include.backup.sources.base import SMALL_BYTES
from tests.interop.survey import survey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

AS_ROOT = os.geteuid() == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every entry of a plan has."""

    mode: int = 0o644
    mtime_ns: int = 1_700_000_000_123_456_789
    attributes: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Common):
    """A file: literal bytes, then `noise_bytes` of random ones, then `zero_bytes` as a hole."""

    head: bytes = b""
    seed: int = 0
    noise_bytes: int = 0
    zero_bytes: int = 0

    def content(self) -> bytes:
        """The bytes of the file."""
        return self.head + Random(self.seed).randbytes(self.noise_bytes) + bytes(self.zero_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Common):
    """A symbolic link."""

    target: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo(Common):
    """A named pipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin(Common):
    """Another name of a file that was made before; of which, is drawn as a number."""

    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder(Common):
    """A directory."""

    mode: int = 0o755
    entries: Mapping[bytes, Entry]


Entry = File | Link | Fifo | Twin | Folder


def grow(root: Path, plan: Folder) -> None:
    """Make what a plan says in an empty directory. Directories get their times last."""
    _fill(os.fsencode(root), plan, [])


def _fill(full: bytes, plan: Folder, files: list[bytes]) -> None:
    for name, entry in plan.entries.items():
        inner = full + b"/" + name
        if isinstance(entry, Folder):
            os.mkdir(inner)
            _fill(inner, entry, files)
        elif isinstance(entry, Link):
            os.symlink(entry.target, inner)
            os.utime(inner, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
        elif isinstance(entry, Twin) and files:
            os.link(files[entry.of % len(files)], inner)
        elif isinstance(entry, Fifo):
            os.mkfifo(inner)
            _dress(inner, entry)
        else:
            content = entry.content() if isinstance(entry, File) else b"a twin without a first"
            write_sparse(inner, content)
            _dress(inner, entry)
            files.append(inner)
    _dress(full, plan)


def _dress(full: bytes, entry: Common) -> None:
    if not isinstance(entry, Fifo):
        for name, value in entry.attributes:
            os.setxattr(full, name, value)
    os.chmod(full, entry.mode)
    os.utime(full, ns=(entry.mtime_ns, entry.mtime_ns))


def write_sparse(full: bytes | Path, content: bytes) -> None:
    """Write a file without the zeros at its end, which become a hole."""
    with open(full, "wb") as file:
        file.write(content.rstrip(b"\0"))
        file.truncate(len(content))


NASTY_NAMES = (
    b"plain",
    b'a "quoted" name',
    b"back\\slash \\x41 \\u0041 \\n",
    b"<script>&amp;",
    b"'single' `back` $dollar *star ? [a] {b}",
    "Ünïcödé \N{GRINNING FACE} \N{CJK UNIFIED IDEOGRAPH-4E2D}".encode(),
    "e\u0301 decomposed".encode(),
    "\u00e9 decomposed".encode(),  # the same to the eye, another name to the disk
    "line\u2028para\u2029soft\u00adzero\u200bbom\ufeffrepl\ufffd".encode(),
    "c1 \u0085\u009f nbsp\u00a0 private\ue000 unassigned\U000e0080 rtl\u202e".encode(),
    b"not utf-8 \xff\xfe\xe9 \xed\xa0\x80 \xf4\x90\x80\x80",
    b"cut short \xe2\x82",
    bytes(range(1, 47)) + bytes(range(48, 128)),
    bytes(range(128, 256)),
    b"\n",
    b"\t ",
    b" leading and trailing ",
    b"-rf",
    b"--help",
    b"~",
    b"...",
    b"..hidden",
    b".holdfast",
    b".holdfast-0123456789abcdef",  # as the temporary files of a restore are named
    b"case",
    b"CASE",
    b"Case",
    b"x" * 255,
    "\u00fc".encode() * 127,
    b"\xff" * 255,
    # Ascending as bytes; the other way round as UTF-16, and neither in a dictionary.
    "\uff5e".encode(),
    "\U00010000".encode(),
    b"a",
    b"a-b",
    b"a.b",
    b"a0",
    b"\x7f",
)

# At these sizes in bytes a chunker, a batch or a buffer could be off by one.
EDGES = tuple(
    size + by for size in (4096, SMALL_BYTES, MIN_BYTES, 1 << 20, MAX_BYTES) for by in (-1, 0, 1)
)


def names() -> st.SearchStrategy[bytes]:
    """File names: nasty ones, any text, any bytes."""
    texts = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=30)
    any_name = st.binary(min_size=1, max_size=40) | texts.map(str.encode)
    return st.sampled_from(NASTY_NAMES) | any_name.filter(
        lambda name: 0 < len(name) < 256 and name not in {b".", b".."} and not set(name) & {0, 47}
    )


def attributes() -> st.SearchStrategy[tuple[tuple[str, bytes], ...]]:
    """A few extended attributes; most entries have none."""
    letters = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
    some = st.dictionaries(
        letters.map(lambda text: f"user.n{text}"), st.binary(max_size=40), max_size=2
    )
    return st.just(()) | some.map(lambda found: tuple(sorted(found.items())))


def times() -> st.SearchStrategy[int]:
    """Nanoseconds since 1970, from 1901 (ext4) to 2262 (Go)."""
    return st.integers(-(1 << 31) * 10**9, (1 << 63) - 1)


def files() -> st.SearchStrategy[File]:
    """Mostly small, some at the edges, some sparse."""
    modes = st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1666, 0o400, 0o444])
    if AS_ROOT:  # nobody else could read it
        modes |= st.just(0)
    common = {"mode": modes, "mtime_ns": times(), "attributes": attributes()}
    return st.builds(File, head=st.binary(max_size=200), **common) | st.builds(
        File,
        head=st.binary(max_size=2),
        seed=st.integers(0, 5),  # few, so that contents come twice
        noise_bytes=st.sampled_from([0, 1, 5000, *(size for size in EDGES if size < 2 << 20)]),
        zero_bytes=st.sampled_from([0, 0, 4096, 300_000]),
        **common,
    )


def entries() -> st.SearchStrategy[Entry]:
    """Anything but a directory."""
    targets = st.binary(min_size=1, max_size=60).filter(lambda target: 0 not in target)
    utf8_targets = targets.filter(_has_no_odd_bytes)
    return (
        files()
        | st.builds(Link, target=utf8_targets, mtime_ns=times())
        | st.builds(Fifo, mode=st.sampled_from([0o600, 0o666]), mtime_ns=times())
        | st.builds(Twin, of=st.integers(0, 9))
    )


def _has_no_odd_bytes(target: bytes) -> bool:
    """Whether stock restic before 0.16 brings back a link's target."""
    try:
        target.decode()
    except UnicodeDecodeError:
        return False
    return True


def folders() -> st.SearchStrategy[Folder]:
    """Small trees."""
    modes = st.sampled_from([0o755, 0o700, 0o1777, 0o2750])
    common = {"mode": modes, "mtime_ns": times(), "attributes": attributes()}

    def folder(inner: st.SearchStrategy[Entry]) -> st.SearchStrategy[Folder]:
        named = st.dictionaries(names(), inner, max_size=6)
        return st.builds(Folder, entries=named, **common)

    return folder(st.recursive(entries(), folder, max_leaves=8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of a tree that is on disk: to which entry, is drawn as a number."""

    act: str
    of: int
    entry: Entry
    name: bytes


ACTS = ("add", "remove", "rewrite", "append", "replace", "rename", "chmod", "touch", "attribute")


def changes() -> st.SearchStrategy[list[Change]]:
    """What happens between two backups."""
    one = st.builds(
        Change,
        act=st.sampled_from(ACTS),
        of=st.integers(0, 40),
        entry=entries() | folders(),
        name=names(),
    )
    return st.lists(one, min_size=1, max_size=4)


def apply(root: Path, change: Change) -> None:
    """Change a tree on disk. A change that does not fit the entry it meets does nothing."""
    top = os.fsencode(root)
    paths = sorted(survey(root).keys() - {b"."})
    found = sorted(path for path in paths if stat.S_ISDIR(os.lstat(top + b"/" + path).st_mode))
    fresh = top + b"/" + [b".", *found][change.of % (len(found) + 1)] + b"/" + change.name
    chosen = top + b"/" + paths[change.of % len(paths)] if paths else b""
    if change.act == "add" or not chosen:
        _add(fresh, change.entry)
    elif change.act == "rename":
        if not os.path.lexists(fresh) and not fresh.startswith(chosen + b"/"):
            os.rename(chosen, fresh)
    elif change.act in {"remove", "replace"}:
        _remove(chosen)
        if change.act == "replace":
            _add(chosen, change.entry)
    elif not os.path.islink(chosen):
        _alter(chosen, change)


def _alter(full: bytes, change: Change) -> None:
    is_file = os.path.isfile(full)
    if change.act == "touch":
        os.utime(full, ns=(change.entry.mtime_ns, change.entry.mtime_ns))
    elif change.act == "chmod":
        os.chmod(full, 0o711 if os.path.isdir(full) else 0o640)
    elif change.act == "attribute" and (is_file or os.path.isdir(full)):
        os.setxattr(full, "user.changed", change.name)
    elif change.act == "append" and is_file:
        with open(full, "ab") as file:
            file.write(change.name)
    elif change.act == "rewrite" and is_file:
        # The same size and the same time: only the kernel's change time tells.
        status = os.stat(full)
        with open(full, "r+b") as file:
            file.write(bytes(byte ^ 1 for byte in file.read(1)) if status.st_size == 0 else b"!")
            file.truncate(status.st_size)
        os.utime(full, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _add(full: bytes, entry: Entry) -> None:
    if not os.path.lexists(full):
        folder, _, name = full.rpartition(b"/")
        _fill_one(folder, name, entry)


def _fill_one(folder: bytes, name: bytes, entry: Entry) -> None:
    status = os.stat(folder)
    _fill(folder, Folder(entries={name: entry}, mode=stat.S_IMODE(status.st_mode)), [])


def _remove(full: bytes) -> None:
    if os.path.isdir(full) and not os.path.islink(full):
        for name in os.listdir(full):
            _remove(full + b"/" + name)
        os.rmdir(full)
    else:
        os.unlink(full)
