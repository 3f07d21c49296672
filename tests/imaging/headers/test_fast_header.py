"""The fast reader of headers returns what the tolerant reader returns, or None."""

import io
import random
import struct
from functools import cache
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from core.errors import CannotUnderstand
from core.records import InstanceHeader
from deploy.demo.synthetic.chest import chest_datasets, make_chest
from imaging.headers.fast_header import read_plain_header
from imaging.headers.instance_header import read_header
from imaging.headers.scanner import read_plain_scanner, read_scanner, read_scanner_tolerantly
from tests.imaging.headers.test_instance_header import minimal, part10

MODEL_NAME = b"\x08\x00\x90\x10"


def tolerant(content: bytes) -> InstanceHeader | None:
    try:
        return read_header(io.BytesIO(content))
    except CannotUnderstand:
        return None


def agrees(content: bytes) -> bool:
    """Whether the fast reader answered, after checking that its answer is that of the tolerant reader."""
    scanner = read_plain_scanner(content)
    assert scanner is None or scanner == read_scanner_tolerantly(io.BytesIO(content))
    plain = read_plain_header(content)
    assert plain is None or plain == tolerant(content)
    assert plain is None or scanner is not None or MODEL_NAME in content
    return plain is not None


@cache
def slices() -> list[bytes]:
    """Return two slices in each of two transfer syntaxes."""
    found = []
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        for dataset in chest_datasets(make_chest(1, slices=2, diameters_mm=())):
            out = io.BytesIO()
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.save_as(out, enforce_file_format=True)
            found.append(out.getvalue())
    return found


@pytest.mark.parametrize("number", range(4))
def test_a_plain_slice_is_read(number: int) -> None:
    assert agrees(slices()[number])


def test_real_slices_and_photographs_are_read(data: Path) -> None:
    files = sorted(data.glob("ct/*/*.dcm"))[::40]
    answered = [agrees(path.read_bytes()) for path in files]
    assert sum(answered) >= 0.9 * len(files) > 0


def test_test_files_of_pydicom() -> None:
    files = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    assert sum(agrees(path.read_bytes()) for path in files) > len(files) / 4


def test_conformance_files(data: Path) -> None:
    for path in sorted((data / "conformance").rglob("*")):
        if path.is_file() and path.stat().st_size < 4 << 20:
            agrees(path.read_bytes())


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_slice_with_bytes_changed_cut_out_or_put_in(which: int, chance: random.Random) -> None:
    content = bytearray(slices()[which])
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        at = chance.randrange(128, min(len(content), 2600))
        kind = chance.random()
        if kind < 0.6:
            content[at] = chance.choice((0, 32, 48, 92, 255, chance.randrange(256)))
        elif kind < 0.8:
            del content[at : at + chance.choice((1, 2, 8))]
        else:
            content[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 8))))
    agrees(bytes(content))


VALUES = st.one_of(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "1",
            "1.5",
            "-0",
            "1e400",
            "1\\2",
            "\\",
            "0.7\\0.7",
            "20260229",
            "20261332",
            "240000",
            "120000.5",
            "A^B=C",
            "x" * 70,
            "007",
            "1.2.03",
        ]
    ),
)
KEYWORDS = [
    "PatientName", "PatientID", "StudyDate", "StudyTime", "AccessionNumber", "ImageType", "ConvolutionKernel", "SeriesNumber",
    "InstanceNumber", "PixelSpacing", "ImagePositionPatient", "SliceThickness", "NumberOfFrames", "BodyPartExamined",
    "SpecificCharacterSet", "Manufacturer", "ManufacturerModelName", "StudyDescription", "PatientSex", "TimezoneOffsetFromUTC",
    "FrameOfReferenceUID", "NumberOfSeriesRelatedInstances", "StudyInstanceUID",
]  # fmt: skip


def tag_of(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


def raw_of(element: DataElement) -> bytes:
    return str(element.value).encode()


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1, max_size=4), st.booleans())
@pytest.mark.filterwarnings("ignore")
def test_any_value_of_any_element(values: dict[str, str], implicit: bool) -> None:
    kept = {int(element.tag): raw_of(element) for element in minimal()} | {
        tag_of(keyword): value.encode() for keyword, value in values.items()
    }
    head = part10(minimal(), syntax=ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
    body = b""
    for tag in sorted(kept):
        vr = dictionary_VR(tag)
        raw = kept[tag] + (b"\0" if vr == "UI" else b" ") * (len(kept[tag]) % 2)
        lead = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        body += lead + (struct.pack("<L", len(raw)) if implicit else vr.encode() + struct.pack("<H", len(raw))) + raw
    head = head[: 144 + int.from_bytes(head[140:144], "little")]
    agrees(head + body)


@pytest.mark.parametrize("number", [0, 2])
def test_the_beginning_of_a_file_gives_the_same_header_or_none(number: int) -> None:
    content = slices()[number]
    whole = read_plain_header(content)
    headers = {size: read_plain_header(content[:size], len(content)) for size in range(132, 6000)}
    answered = {size for size, header in headers.items() if header is not None and header == whole}
    wrong = {size for size, header in headers.items() if header not in (None, whole)}
    assert not wrong
    assert max(answered) == 5999  # the pixel data begin before
    assert read_plain_header(content[:6000], len(content) - 1) is None  # they end before their length


def test_a_path_and_its_content_give_the_same(tmp_path: Path) -> None:
    for content in slices():
        path = tmp_path / "one.dcm"
        path.write_bytes(content)
        assert read_header(path) == read_plain_header(content)
        assert read_scanner(path) == read_plain_scanner(content) == read_scanner_tolerantly(path) != ""
