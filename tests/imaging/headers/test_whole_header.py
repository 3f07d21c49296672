"""A data set that was cut is refused wherever it was cut; what a reader reads as a whole is not."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from core.errors import CannotUnderstand, OverBudget
from core.records import InstanceHeader
from deploy.demo.synthetic.lesion import lesion_dataset
from imaging.headers.instance_header import BEGINNING_BYTES, read_header
from imaging.headers.whole_header import NO_DELIMITER, read_plain_whole_header, read_whole_header
from imaging.wire import data_set_end
from imaging.wire.part10 import data_set_offset
from tests.fuzz.costly_datasets import file_of
from tests.fuzz.seed_files import conformance_seeds
from tests.support.monai_classifiers import drawing
from tests.support.multi_frame import ULTRASOUND_LOOP, as_jpeg, multi_frame
from tests.support.series import SR, encoded, image, image_with_sequences
from tests.support.transcode import LOSSLESS, transcode

DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
ITEM = b"\xfe\xff\x00\xe0"
PADDING = struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, 10) + bytes(range(10))  # (FFFC,FFFC) Data Set Trailing Padding
FRAMES = 4
# Of the conformance files: images of which only the header is there.
HEADERS_ONLY = {
    "chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm",
    "2017-06-27-XSSInjection.dcm", "DummyCTInvalidRows.dcm", "DummyCTWithLongTag.dcm", "Issue154-d1.dcm", "Issue154-d2.dcm",
    "Issue22-NoPixelData.dcm", "Image1.dcm", "Image2.dcm", "Image3.dcm", "Issue131-a.dcm", "Issue131-b.dcm", "fodicom-GH178.dcm",
    "fodicom-GH227.dcm",
}  # fmt: skip


def slice_in(name: str) -> Callable[[], FileDataset]:
    return lambda: transcode(image(), name)


def loop(*, offset_table: bool = True, fragments: int = 1) -> FileDataset:
    frames = np.stack([drawing(number == 1, number, (24, 32)) for number in range(FRAMES)])
    made = multi_frame(frames, study=8500, sop_class=ULTRASOUND_LOOP, modality="US")
    return as_jpeg(made, offset_table=offset_table, fragments=fragments)


MADE: dict[str, Callable[[], FileDataset]] = {
    **{name: slice_in(name) for name in LOSSLESS},
    "photograph": lambda: lesion_dataset(7, size=(48, 64)),
    "loop": loop,
    "loop in fragments": lambda: loop(fragments=3),
    "sequences": image_with_sequences,
    "text beyond ASCII": lambda: image(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen"),
}
ONE_CODESTREAM_A_FRAGMENT = {"photograph", "loop", *(name for name in LOSSLESS if name.startswith("jpeg")), "htj2k"}


def read(content: bytes, folder: Path) -> InstanceHeader:
    path = folder / "one.dcm"
    path.write_bytes(content)
    return read_plain_whole_header(path, content[:BEGINNING_BYTES], len(content)) or read_whole_header(path)


def refused_places(content: bytes, places: range, folder: Path) -> set[int]:
    """The places of these where the data set is refused when it is cut there."""
    refused = set()
    for place in places:
        try:
            read(content[:place], folder)
        except CannotUnderstand:
            refused.add(place)
    return refused


@pytest.mark.parametrize("name", MADE)
def test_a_data_set_that_was_cut_is_refused_wherever_it_was_cut(name: str, tmp_path: Path) -> None:
    content = encoded(MADE[name]())
    assert read(content, tmp_path).sop_class_uid == read_header(content).sop_class_uid
    start, last = data_set_offset(content), len(content)
    loses_nothing = set[int]()
    if name == "deflated":  # a null byte makes their number even (PS3.5 A.5)
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(content[start:])
        loses_nothing = set(range(last - len(inflater.unused_data), last))
    elif name in ONE_CODESTREAM_A_FRAGMENT:
        loses_nothing = {last - len(DELIMITER)}
    every = 1 if last < 2500 and name in ("explicit", "implicit", "photograph", "sequences") else 7
    for places in (range(start, last, every), range(max(start, last - 60), last)):
        assert set(places) - refused_places(content, places, tmp_path) <= loses_nothing


@pytest.mark.parametrize("name", ["explicit", "implicit", "rle", "photograph"])
def test_elements_behind_the_pixel_data_are_looked_at(name: str, tmp_path: Path) -> None:
    content = encoded(MADE[name]())
    padding = PADDING if name != "implicit" else struct.pack("<HHL", 0xFFFC, 0xFFFC, 10) + bytes(range(10))
    assert read(content + padding, tmp_path) == read_header(content)
    assert read(content + padding + bytes(7), tmp_path) == read_header(content), "null bytes are no element"
    assert read(content + bytes(4000), tmp_path) == read_header(content)
    places = range(len(content) + 1, len(content) + len(padding))
    assert refused_places(content + padding, places, tmp_path) == set(places)


def test_a_frame_in_each_fragment_and_no_delimiter_is_whole(tmp_path: Path) -> None:
    """As some devices write it; a note says so."""
    content = encoded(loop())
    assert content.endswith(DELIMITER)
    header = read(content.removesuffix(DELIMITER), tmp_path)
    assert header.tolerated == (*read_header(content).tolerated, NO_DELIMITER)


@pytest.mark.parametrize("fragments", [1, 2, 4])
@pytest.mark.parametrize("offset_table", [True, False])
def test_pixel_data_that_end_behind_a_fragment_are_whole_only_if_every_frame_is_there(
    fragments: int, offset_table: bool, tmp_path: Path
) -> None:
    content = encoded(loop(offset_table=offset_table, fragments=fragments))
    at, ends = content.index(ITEM, content.index(b"\xe0\x7f\x10\x00")), list[int]()
    while content[at : at + 4] == ITEM:
        at += 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        ends.append(at)
    assert (len(ends), content[at:]) == (1 + FRAMES * fragments, DELIMITER)
    accepted = [end for end in ends if not refused_places(content, range(end, end + 1), tmp_path)]
    assert accepted == ([ends[-1]] if fragments == 1 else [])


def test_an_object_without_pixel_data_is_followed_to_its_end(tmp_path: Path) -> None:
    """Longer than the beginning that is read at once, with sequences of undefined length, values that are not read, and no pixel data."""
    made = image_with_sequences()
    del made.PixelData
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SR
    made.EncapsulatedDocument = bytes(BEGINNING_BYTES + 100)
    content = encoded(made)
    assert read(content, tmp_path).sop_class_uid == SR
    places = range(len(content) - BEGINNING_BYTES, len(content), 4001)
    assert refused_places(content, places, tmp_path) == set(places)
    sequence = content.index(b"\x40\x00\x30\xa7SQ")  # (0040,A730)
    places = range(sequence + 12, content.rindex(DELIMITER) + len(DELIMITER))
    assert refused_places(content, places, tmp_path) == set(places)


def test_an_image_without_pixel_data_is_refused(tmp_path: Path) -> None:
    for name in ("implicit", "explicit", "big_endian", "deflated"):
        made = transcode(image(), name)
        del made.PixelData
        with pytest.raises(CannotUnderstand, match="the image has no pixel data"):
            read(encoded(made), tmp_path)


def test_something_else_than_an_item_in_pixel_data_is_refused(tmp_path: Path) -> None:
    content = encoded(MADE["rle"]())
    at = content.rindex(DELIMITER)
    with pytest.raises(CannotUnderstand, match="the encapsulated pixel data are damaged"):
        read(content[:at] + b"\x08\x00\x05\x00\0\0\0\0" + DELIMITER, tmp_path)


def test_the_number_of_fragments_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(loop(fragments=2))
    monkeypatch.setattr(data_set_end, "MAX_FRAGMENTS", 2 * FRAMES)
    assert read(content, tmp_path)
    monkeypatch.setattr(data_set_end, "MAX_FRAGMENTS", 2 * FRAMES - 1)
    with pytest.raises(OverBudget, match="more than 7 fragments"):
        read(content, tmp_path)


def test_elements_behind_the_pixel_data_have_a_limit(tmp_path: Path) -> None:
    content = encoded(image()) + b"\xfc\xff\xfc\xffOB\0\0\0\0\0\0" * 20_000
    with pytest.raises(OverBudget, match="more than 10000 elements"):
        read(content, tmp_path)


def test_conformance_files_that_are_whole_are_accepted(data: Path, tmp_path: Path) -> None:
    """Files of many devices and programs: whatever the header's reader reads."""
    refused = set()
    for seed in conformance_seeds(data):
        content = file_of(seed)
        try:
            header = read_header(content)
        except CannotUnderstand:
            continue
        try:
            assert read(content, tmp_path).sop_instance_uid == header.sop_instance_uid
        except CannotUnderstand:
            refused.add(seed.name)
    assert refused <= HEADERS_ONLY
