"""Deflated bytes are inflated within a bound, at once and piece by piece."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import OverBudget
from imaging.limits.bounded_inflate import InflatedPieces

HEAD = b"what precedes the data set"
LARGE = os.urandom(1000) * 700  # more than one piece, packed and inflated


def packed(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@contextmanager
def opened(folder: Path, content: bytes) -> Iterator[int]:
    """The descriptor of a file with ``content`` behind `HEAD`."""
    path = folder / "deflated"
    path.write_bytes(HEAD + content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@given(reads=st.lists(st.tuples(st.integers(0, 300_000), st.integers(1, 5000)), max_size=8), small=st.binary(max_size=50))
def test_reads_one_behind_the_other_give_the_content(
    reads: list[tuple[int, int]], small: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for content in (LARGE, small):
        with opened(tmp_path_factory.mktemp("pieces"), packed(content)) as descriptor:
            pieces, at = InflatedPieces(descriptor, len(HEAD)), 0
            for passed, size in reads:
                at += passed
                assert pieces.read(at, size) == content[at : at + size]
            assert pieces.read(max(at, len(content)), 1) == b""
            assert (pieces.size_bytes, pieces.ends_early) == (len(content), False)


@pytest.mark.parametrize("lost", [1, 2, 100])
def test_deflated_bytes_without_their_end_are_noticed(lost: int, tmp_path: Path) -> None:
    with opened(tmp_path, packed(LARGE)[:-lost]) as descriptor:
        pieces = InflatedPieces(descriptor, len(HEAD))
        assert pieces.read(len(LARGE), 1) == b""
        assert pieces.ends_early


def test_more_than_the_bound_is_refused_and_other_bytes_are_an_error(tmp_path: Path) -> None:
    with opened(tmp_path, packed(LARGE)) as descriptor:
        assert InflatedPieces(descriptor, len(HEAD), len(LARGE)).read(len(LARGE), 1) == b""
        with pytest.raises(OverBudget, match=f"more than {len(LARGE) - 1} bytes"):
            InflatedPieces(descriptor, len(HEAD), len(LARGE) - 1).read(len(LARGE), 1)
        with pytest.raises(zlib.error):
            InflatedPieces(descriptor, 0).read(0, 1)
