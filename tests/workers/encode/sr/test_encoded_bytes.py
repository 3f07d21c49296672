"""Result objects as bytes: written and read as pydicom writes and reads them; malformed content is not read."""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pydicom import config, dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from core.states import ResultKind
from imaging.wire.strict_dataset import StrictDataset
from imaging.wire.strict_reader import read_strictly
from imaging.wire.writer import encode_dataset
from tests.support import analyses, analyses_with_images
from workers.encode.analysis import Analysis
from workers.encode.character_sets import UTF8, choose_character_sets
from workers.encode.objects import by_kind
from workers.encode.sr import document as sr_document
from workers.encode.validate.validator import validate

ANALYSES: dict[str, Callable[[], Analysis]] = {"ct": analyses.masked_ct, "skin": analyses.masked_skin, "chest": analyses_with_images.chest}
KINDS = ("sr", "seg", "heatmap", "key_images", "pdf")
NAMES = (*(f"{name} {kind}" for name in ANALYSES for kind in KINDS), "chest parametric_map")


@cache
def contents() -> dict[str, bytes]:
    """Every object of every analysis, by the names in ``NAMES``."""
    found = {
        f"{name} {one.kind}": one.content
        for name, make in ANALYSES.items()
        for analysis in [make()]
        for one in (sr_document.encode(analysis), *(one for kind in by_kind.ENCODERS for one in by_kind.encode_kind(kind, analysis)))
    }
    assert set(found) == set(NAMES)
    return found


def as_elements(dataset: Dataset) -> list[object]:
    """The elements as the strict reader returns them."""
    found: list[object] = []
    for element in dataset:
        value = element.value
        if element.VR == "SQ":
            value = [as_elements(item) for item in value]
        elif element.VR == "DS":
            texts = [str(one.original_string).strip() for one in (value if isinstance(value, MultiValue) else [value])]
            value = texts if len(texts) > 1 else texts[0]
        elif element.VR == "PN":
            value = str(value or "")
        elif value is None:
            value = ""
        found.append((element.keyword, str(element.VR), list(value) if isinstance(value, MultiValue) else value))
    return found


def listed(elements: StrictDataset) -> list[object]:
    return [(one.keyword, one.VR, [listed(item) for item in one.value] if one.VR == "SQ" else one.value) for one in elements]


@pytest.mark.parametrize("name", NAMES)
def test_read_as_pydicom_reads(name: str) -> None:
    document = dcmread(io.BytesIO(contents()[name]))
    assert listed(read_strictly(contents()[name])[1]) == as_elements(document)


def test_files_name_the_implementation_of_the_conformance_statement() -> None:
    statement = (Path(__file__).parents[4] / "docs" / "conformance.md").read_text(encoding="utf-8")
    for keyword in ("ImplementationClassUID", "ImplementationVersionName"):
        assert f"`{read_strictly(contents()['ct sr'])[0].get(keyword)}`" in statement


@pytest.mark.parametrize("name", NAMES)
def test_written_as_pydicom_writes(name: str) -> None:
    document = dcmread(io.BytesIO(contents()[name]))
    document.decode()
    for element in document.iterall():  # nothing as it was read: each value is written anew
        element.value = element.value
    buffer = io.BytesIO()
    dcmwrite(buffer, document, enforce_file_format=True)
    assert buffer.getvalue() == contents()[name]


def test_every_vr_is_written_as_pydicom_writes_it() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName, dataset.OtherPatientNames = "Größe^Jörg=", ["Ä^B", "C"]
    dataset.StudyDate, dataset.PatientComments, dataset.ImageType = None, "Ärzte\\zwei", ["DERIVED", "PRIMARY", "AX"]
    dataset.PatientWeight, dataset.NumberOfFrames, dataset.PixelSpacing = "71.50", 3, [0.7, 0.75]
    dataset.Rows, dataset.OtherPatientIDsSequence, dataset.SimpleFrameList = 5, [], [1, 2, 70000]
    dataset.FrameIncrementPointer, dataset.RetrieveURL = 0x00181063, "https://example.org/a"
    dataset.add(DataElement(0x00281052, "DS", ["1", "2"]))
    dataset.PixelRepresentation, dataset.SmallestImagePixelValue, dataset.PixelData = 1, -7, b"\1\2\3"
    dataset["PixelData"].VR = "OB"
    (latin, _) = choose_character_sets(("ISO_IR 100",))
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
    assert encode_dataset(dataset, latin.encode) == buffer.getvalue()


def test_text_beyond_the_character_set_raises_unicode_error() -> None:
    (latin, everything), (ascii_, _) = choose_character_sets(("ISO_IR 100",)), choose_character_sets(())
    dataset = Dataset()
    dataset.PatientName = "山田^太郎"
    for characters in (latin, ascii_):
        with pytest.raises(UnicodeError):
            encode_dataset(dataset, characters.encode)
    assert everything.name == UTF8
    assert "山田^太郎".encode() in encode_dataset(dataset, everything.encode)


def test_a_value_that_its_vr_cannot_hold_is_refused() -> None:
    dataset = Dataset()
    dataset.add(DataElement(0x00104000, "LT", "x" * 70_000, validation_mode=config.IGNORE))
    with pytest.raises(ValueError, match="70000 bytes"):
        encode_dataset(dataset, str.encode)


def nested(depth: int) -> bytes:
    content = b""
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0" + len(content).to_bytes(4, "little") + content
        content = b"\x40\x00\x30\xa7SQ\0\0" + len(item).to_bytes(4, "little") + item
    return content


def swapped(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "no preamble": lambda content: content[128:],
    "cut": lambda content: content[:-1],
    "something behind": lambda content: content + b"\0\0",
    "an element again": lambda content: content + b"\x08\x00\x60\x00CS\x02\x00SR",
    "of another VR": lambda content: swapped(content, b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00LO"),
    "of no VR": lambda content: swapped(content, b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00??"),
    "length that lies": lambda content: swapped(content, b"\x08\x00\x60\x00CS\x02\x00", b"\x08\x00\x60\x00CS\x04\x00"),
    "too deep": lambda content: content + nested(2000),
    "sequence of no items": lambda content: swapped(content, b"\xfe\xff\x00\xe0", b"\xfe\xff\x01\xe0"),
    "no number": lambda content: swapped(content, b"\x20\x00\x13\x00IS\x02\x001 ", b"\x20\x00\x13\x00IS\x02\x00_1"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_malformed_content_is_not_read(damage: Callable[[bytes], bytes]) -> None:
    (problem,) = validate(damage(contents()[f"ct {ResultKind.SR}"]))
    assert problem.startswith("not readable as a DICOM file")
