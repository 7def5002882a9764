"""Keys as paths, and back: by Holdfast, and by the program that lies beside each recovery point."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.backup.sources.s3 import names
from include.backup.sources.s3.put_objects import key_of as key_of_by_program

NASTY = (
    "a",
    "a/",
    "a//b",
    "//",
    "/",
    ".",
    "..",
    "x/../y",
    "nul\0in/it",
    "~s3~name~",
    "~s3~object~x/y",
    "50%41 off/%2E",
    "l" * 255,
    "l" * 256,
    "l" * 1024,
    "é" * 512,
    "%" * 700,
    "\0" * 200 + "/" + "." * 300,
)
STRANGE = ("", ".", "..", "~s3~", "~s3~name~%2E", "%41", "b" * 250, "é" * 130, "%\0" * 150)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="/"), max_size=6)
PARTS = TEXTS | st.sampled_from(STRANGE)
KEYS = st.lists(PARTS, min_size=1, max_size=6).map("/".join)


def path_of(key: str, *, beside: bool = False) -> str:
    """The path of an object, part by part as listings find it."""
    *folders, last = key.split("/")
    path = []
    for part, is_folder in [*((folder, True) for folder in folders), (last, False)]:
        rest = part
        while True:
            name = names.name_of(rest, is_folder=is_folder, beside_folder=beside and not is_folder)
            path.append(name)
            if not names.begins_a_name(name):
                break
            head = names.below("/".join(path)).heads[-1]
            assert rest.startswith(head)
            rest = rest[len(head) :]
    return "/".join(path)


def check(key: str, *, beside: bool) -> None:
    path = path_of(key, beside=beside)
    for name in path.split("/"):
        assert name not in {"", ".", ".."}
        assert "\0" not in name
        assert len(name.encode()) <= 255
    assert names.key_of(path) == key
    assert key_of_by_program(path) == key


def test_keys_that_no_file_can_have_keep_their_names() -> None:
    """Each has a path of legal names, and its key comes back."""
    for key in NASTY:
        for beside in (False, True):
            check(key, beside=beside)


def test_ordinary_keys_are_their_own_paths() -> None:
    """Whoever restores with stock restic finds the names that the bucket had."""
    for key in ("2026/report.pdf", ".hidden", "100%", "a b+c", "ü/\n", "...", "l" * 255):
        assert path_of(key) == key


@given(key=KEYS, beside=st.booleans())
def test_every_key_comes_back(key: str, beside: bool) -> None:
    """Whatever a key holds."""
    check(key, beside=beside)


@given(keys=st.sets(KEYS, max_size=12))
def test_no_two_keys_share_a_path(keys: set[str]) -> None:
    """Nor is the path of one a directory of another."""
    folders = {key[:end] for key in keys for end, char in enumerate(key) if char == "/"}
    paths = {path_of(key, beside=key in folders) for key in keys}
    assert len(paths) == len(keys)
    above = {path[:end] for path in paths for end, char in enumerate(path) if char == "/"}
    assert not paths & above
