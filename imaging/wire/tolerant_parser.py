"""Tolerant parsing of DICOM files with pydicom (PS3.5, PS3.10). Pixel data are located, not decoded.

Takes files without preamble, without file meta information, cut short or deflated. What cannot be read raises `CannotUnderstand`. The
Per-Frame Functional Groups Sequence of whole slides is passed, not parsed: `imaging.slide.tile_groups` reads the places of the tiles.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset
from pydicom.filereader import read_dataset as parse_dataset
from pydicom.filereader import read_partial

from core.errors import CannotUnderstand, NodeError, system_error_of
from imaging.limits.bounded_inflate import MAX_INFLATED_BYTES
from imaging.limits.work_budget import FULL, OF_TILES, WorkBudget, current_budget, work_budget
from imaging.wire.data_set_end import DataSetWalk, StreamPieces
from imaging.wire.deflated import deflated_data_set_offset, parse_deflated
from imaging.wire.notes import add_note, warnings_as_notes
from imaging.wire.tolerant_stream import PixelLocation, StopAtPixelData, bound_reading

_DEFER_BYTES = 64 << 10  # longer values of other elements than pixel data (documents, waveforms) stay in the file


@contextmanager
def translate_parse_errors(what: str) -> Iterator[None]:
    """Raise `CannotUnderstand` for any exception that a parser raises in this block on a broken or hostile file.

    The block is the reading of one instance, whose work is counted (`work_budget`). ``what``: what cannot be read, the beginning of the
    message. Errors of the node itself pass unchanged, and so do those of the operating system, which say nothing about the file.
    """
    with work_budget():
        yield from _translate_parse_errors(what)


def _translate_parse_errors(what: str) -> Iterator[None]:
    try:
        yield
    except NodeError:
        raise
    except RecursionError as error:
        raise current_budget().refuse("sequences nested too deep") from error
    except MemoryError as error:
        raise CannotUnderstand(f"{what}: an element claims more bytes than there are", hint="the file is broken or hostile") from error
    except Exception as error:
        # pydicom replaces an error that is raised while it reads the head of an item by one of its own.
        exceeded = current_budget().exceeded
        if exceeded is not None:
            raise exceeded from error
        failed = system_error_of(error)
        if failed is not None:
            raise failed from None
        if isinstance(error.__context__, RecursionError):
            raise current_budget().refuse("sequences nested too deep") from error
        raise CannotUnderstand(f"{what}: {type(error).__name__} while parsing", hint="send it as DICOM Part 10") from error


def read_dataset(source: Path | BinaryIO, *, pixels: bool = False, max_inflated_bytes: int = MAX_INFLATED_BYTES) -> Dataset:
    """Parse a file or stream.

    Parameters
    ----------
    source
        A path, or a seekable binary stream at its start.
    pixels
        Read the pixel data too. Without, parsing stops in front of them.
    max_inflated_bytes
        Bound on a deflated data set once inflated.

    Raises
    ------
    CannotUnderstand
        The file is not DICOM, broken beyond reading, nested too deep, or inflates beyond the bound.
    OSError
        The file cannot be opened, or the disk fails while it is read.
    """
    return read_with_pixel_location(source, pixels=pixels, max_inflated_bytes=max_inflated_bytes)[0]


def read_with_pixel_location(
    source: Path | BinaryIO,
    *,
    pixels: bool = False,
    notes: list[str] | None = None,
    max_inflated_bytes: int = MAX_INFLATED_BYTES,
) -> tuple[Dataset, PixelLocation | None]:
    """As `read_dataset`, with the location of the pixel data, so that they can be read later without parsing again.

    The location is None if there are no pixel data, if ``pixels`` read them, or if the data set is deflated. ``notes`` receives
    what was wrong with the file.
    """
    found = notes if notes is not None else []
    if isinstance(source, Path):
        with source.open("rb") as stream:  # outside of the translation of errors: a file that is not there is an OSError
            return _parse(stream, pixels, found, _DEFER_BYTES, max_inflated_bytes)
    return _parse(source, pixels, found, None, max_inflated_bytes)


def _parse(
    stream: BinaryIO, pixels: bool, notes: list[str], defer_bytes: int | None, max_inflated_bytes: int
) -> tuple[Dataset, PixelLocation | None]:
    with translate_parse_errors("no readable DICOM data set"), warnings_as_notes(notes):
        head = stream.read(132)
        stream.seek(0)
        if head[128:132] != b"DICM":
            add_note(notes, "no preamble and DICM prefix as PS3.10 7.1 says")
        stop = StopAtPixelData(stream, read_pixels=pixels, stop_at_tiles=True)
        deflated_offset = deflated_data_set_offset(stream)
        if deflated_offset is not None:
            deflated = parse_deflated(stream, deflated_offset, pixels=pixels, notes=notes, max_inflated_bytes=max_inflated_bytes)
            return deflated, None
        dataset = read_partial(bound_reading(stream), stop, defer_size=None if pixels else defer_bytes, force=True)
        if stop.tile_groups is not None:
            _parse_behind_tiles(stream, dataset, stop, defer_bytes)
        dataset.fileobj_type = open  # values that were left in the file are read from the file itself, without the bound
        if pixels and not dataset and head:
            dataset = _parse_truncated(stream, notes)
        if stop.location is not None and stop.location.end > stream.seek(0, io.SEEK_END):
            add_note(notes, "the pixel data end before their declared length")
        if not dataset:
            raise CannotUnderstand("no DICOM data set: it holds no element", hint="send it as DICOM Part 10")
        return dataset, stop.location


def _parse_behind_tiles(stream: BinaryIO, dataset: FileDataset, stop: StopAtPixelData, defer_bytes: int | None) -> None:
    """Add what follows the functional groups of a whole slide's tiles, which are passed: their heads are read, and nothing is decoded."""
    assert stop.tile_groups is not None
    begin, length = stop.tile_groups
    implicit, little = (bool(one) for one in dataset.original_encoding)
    if length is None:
        budget = current_budget()
        walk = DataSetWalk(
            StreamPieces(stream), explicit=not implicit, little=little, budget=WorkBudget(OF_TILES) if budget.limits is FULL else budget
        )
        end = walk.end_of_sequence(begin)
    else:
        end = begin + length
    stream.seek(end)
    dataset.update(parse_dataset(bound_reading(stream), implicit, little, stop_when=stop, defer_size=defer_bytes))
    if stop.location is not None:
        stop.location = replace(stop.location, tile_groups=(begin, end))


def _parse_truncated(stream: BinaryIO, notes: list[str]) -> FileDataset:
    """A file that ends inside its pixel data, of which pydicom keeps nothing: the header, and the pixel data that are there."""
    stream.seek(0)
    stop = StopAtPixelData(stream, read_pixels=False)
    dataset = read_partial(bound_reading(stream), stop, force=True)
    if stop.location is not None:
        add_note(notes, "the pixel data end before their declared length")
        dataset.add_new(stop.location.tag, stop.location.vr, stop.location.read(stream))
    return dataset
