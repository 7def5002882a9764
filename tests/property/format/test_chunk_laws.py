"""Laws of cutting. Hypothesis is slow at megabytes; a seed is not."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.format.chunker import MAX_BYTES, MIN_BYTES, Chunker, chunks
from include.backup.format.ids import digest

FEW = settings(max_examples=15, deadline=None)
polynomials = st.integers(1 << 53, (1 << 54) - 1)
small = st.integers(0, 20)
seeds = st.integers(0, 1 << 30)


@FEW
@given(
    seed=seeds,
    size_bytes=st.builds(lambda most, off: max(0, most * MIN_BYTES + off), small, small),
    polynomial=polynomials,
    pieces=st.integers(1, 9),
)
def test_chunks_join_to_the_input(seed: int, size_bytes: int, polynomial: int, pieces: int) -> None:
    """Cutting loses nothing, adds nothing, keeps order, and does not see how the stream arrived."""
    random = Random(seed)
    data = random.randbytes(size_bytes)
    found = list(chunks([data], polynomial))
    assert b"".join(found) == data
    assert all(MIN_BYTES <= len(chunk) <= MAX_BYTES for chunk in found[:-1])
    assert not found or 0 < len(found[-1]) <= MAX_BYTES
    ends = sorted(random.randint(0, size_bytes) for _ in range(pieces))
    parts = [data[a:b] for a, b in zip([0, *ends], [*ends, size_bytes], strict=True)]
    assert list(chunks(parts, polynomial)) == found


@FEW
@given(seed=seeds, polynomial=polynomials, length=st.integers(1, 2000))
def test_an_insertion_changes_few_chunks(seed: int, polynomial: int, length: int) -> None:
    """Bytes put into a stream change the chunks around them, and the rest is cut as before."""
    random = Random(seed)
    data = random.randbytes(12 << 20)
    place = random.randrange(len(data))
    changed = data[:place] + random.randbytes(length) + data[place:]
    before = {digest(chunk) for chunk in chunks([data], polynomial)}
    after = [digest(chunk) for chunk in chunks([changed], polynomial)]
    new = [chunk for chunk in after if chunk not in before]
    assert 1 <= len(new) <= 5
    if place > 2 * MAX_BYTES:
        assert after[0] in before


@FEW
@given(seed=seeds, polynomial=polynomials, size_bytes=st.integers(0, 9 << 20))
def test_a_cut_is_final_before_the_next_bytes_are_seen(
    seed: int, polynomial: int, size_bytes: int
) -> None:
    """What a full buffer is cut into stays so, whatever follows."""
    data = Random(seed).randbytes(12 << 20)
    chunker = Chunker(polynomial)
    early = chunker.cut(memoryview(data)[:size_bytes], final=False)
    whole = chunker.cut(memoryview(data), final=True)
    assert early == whole[: len(early)]
    assert size_bytes - sum(length for _, length in early) < MAX_BYTES
