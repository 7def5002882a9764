"""The corpora are the same bytes everywhere: figures of two machines are about one thing."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from benchmarks.corpus import change_one_percent, make_huge, make_mixed, make_tiny

if TYPE_CHECKING:
    from pathlib import Path

SCALE = 0.01


def files(folder: Path) -> dict[str, bytes]:
    """Content by relative path."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def digest(folder: Path) -> str:
    """One hash of all names and contents."""
    summary = hashlib.sha256()
    for name, content in sorted(files(folder).items()):
        summary.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return summary.hexdigest()


def test_each_corpus_is_known(tmp_path: Path) -> None:
    """A change of these hashes makes older figures incomparable: say so where they are told."""
    assert {
        "mixed": digest(make_mixed(tmp_path, scale=SCALE))[:16],
        "tiny": digest(make_tiny(tmp_path, 1_500))[:16],
        "huge": digest(make_huge(tmp_path, 3 << 20))[:16],
    } == {
        "mixed": "9af6f86a666d71e2",
        "tiny": "60582a17d8f5c363",
        "huge": "8592563498536553",
    }


def test_an_interrupted_corpus_is_made_again(tmp_path: Path) -> None:
    """What a killed run left half made is finished, and is then like any other."""
    whole = digest(make_tiny(tmp_path / "whole", 1_500))
    part = tmp_path / "again" / "tiny-1500.part" / "0000"
    part.mkdir(parents=True)
    (part / "record-0000000").write_bytes(b"half")
    assert digest(make_tiny(tmp_path / "again", 1_500)) == whole


def test_one_percent_changes(tmp_path: Path) -> None:
    """Each large file and a hundredth of the small ones; by about a hundredth, and no name."""
    corpus = make_mixed(tmp_path, scale=SCALE)
    before = files(corpus)
    change_one_percent(corpus, seed=1)
    after = files(corpus)
    assert before.keys() == after.keys()
    changed = [name for name in before if before[name] != after[name]]
    assert len([name for name in changed if not name.startswith("json")]) == 8
    assert len([name for name in changed if name.startswith("json")]) == 1
    large = sum(len(after[name]) - len(before[name]) for name in changed if "json" not in name)
    assert 0.004 < large / sum(map(len, before.values())) < 0.006
