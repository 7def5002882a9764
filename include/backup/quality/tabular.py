"""What is expected of files that hold a table: CSV, TSV, JSON lines, Parquet, read by pandas."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final

from include.backup.evidence.wording import size
from include.backup.policy.expectations import NEWEST
from include.backup.quality.gx import Judge
from include.backup.quality.judged import Judged, Verdict
from include.backup.quality.tables import TOO_OLD

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from include.backup.policy.expectations import Expectation
    from include.backup.quality.data import Files

_MOST_BYTES: Final = 512 << 20  # of a file; in memory it takes several times as much
_LINES: Final = (".jsonl", ".ndjson")


def is_tabular(path: str) -> bool:
    """Whether a file holds a table, by its name."""
    return path.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".parquet", *_LINES))


class TabularFailed(Exception):
    """A file that cannot be read as a table; the message holds nothing of it."""


def load_frame(files: Files, path: str) -> Any:  # noqa: ANN401  of pandas
    """Read a file as a table.

    Raises:
        FileNotFoundError: there is none.
        TabularFailed.
    """
    import pandas as pd  # noqa: PLC0415  heavy

    found = files.size_bytes(path)
    if found > _MOST_BYTES:
        raise TabularFailed(f"it has {size(found)}, and {size(_MOST_BYTES)} are read at most")
    name = path.lower().removesuffix(".gz")
    try:
        with files.open(path) as file:
            content: Any = gzip.GzipFile(fileobj=file) if path.lower().endswith(".gz") else file
            if name.endswith(".csv"):
                return pd.read_csv(content)
            if name.endswith(".tsv"):
                return pd.read_csv(content, sep="\t")
            if name.endswith(_LINES):
                return pd.read_json(content, lines=True)
            if name.endswith(".parquet"):
                return pd.read_parquet(content)
    except ImportError:
        raise TabularFailed("pyarrow is not installed, which reads Parquet") from None
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError) as error:  # what pandas says quotes values
        raise TabularFailed(f"it cannot be read as a table ({type(error).__name__})") from None
    raise TabularFailed("it is no CSV, TSV, JSON lines or Parquet, by its name")


def judge_file(
    files: Files, path: str, asked: Sequence[Expectation], *, taken_at: datetime
) -> Iterator[Judged]:
    """Judge what is asked of one file."""
    try:
        frame = load_frame(files, path)
    except FileNotFoundError:
        yield from (Judged.of(one, Verdict(met=False, why="is not there")) for one in asked)
        return
    except TabularFailed as error:
        failed = Verdict(met=None, why=str(error))
        yield from (Judged.of(one, failed) for one in asked)
        return
    if others := [one for one in asked if one.kind != NEWEST]:
        yield from map(Judged.of, others, Judge().of_frame(frame, others))
    for one in asked:
        if one.kind == NEWEST:
            yield Judged.of(one, _newest(frame, one, taken_at))


def _newest(frame: Any, one: Expectation, taken_at: datetime) -> Verdict:  # noqa: ANN401  pandas
    import pandas as pd  # noqa: PLC0415  heavy

    assert one.not_older_than is not None
    column = str(one.arguments["column"])
    if column not in frame:
        return Verdict(met=None, why=f"there is no column {column}")
    try:
        newest = pd.to_datetime(frame[column], utc=True, format="mixed").max()
    except (ValueError, TypeError):
        return Verdict(met=None, why=f"column {column} holds what is no time")
    met = bool(newest >= taken_at - one.not_older_than)
    return Verdict(met=met, why="" if met else TOO_OLD)
