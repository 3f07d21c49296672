import io
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from core.errors import CannotUnderstand
from deploy.demo.synthetic.chest import Chest, chest_datasets
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.wire.tolerant_parser import read_dataset, read_with_pixel_location
from tests.support.enhanced_ct import enhanced_ct

# The reference values of the DICOM character set test files (David Clunie) and of fo-dicom's own.
NAMES = {
    "chrArab.dcm": "قباني^لنزار",
    "chrFren.dcm": "Buc^Jérôme",
    "chrGB2312.dcm": "Zhang^XiaoDong=张^小东",
    "chrGerm.dcm": "Äneas^Rüdiger",
    "chrGreek.dcm": "Διονυσιος",
    "chrH31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw.dcm": "שרון^דבורה",
    "chrI2.dcm": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti.dcm": "やまだ^たろう",
    "chrJapMultiExplicitIR6.dcm": "やまだ^たろう",
    "chrKoreanMulti.dcm": "김희중",
    "chrRuss.dcm": "Люкceмбypг",
    "chrX1.dcm": "Wang^XiaoDong=王^小東",
    "chrX2.dcm": "Wang^XiaoDong=王^小东",
}


def part10(ds: Dataset, *, preamble: bool = True, syntax: str = ExplicitVRLittleEndian) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CTImageStorage)
    meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "1.2.3")
    file = FileDataset("", ds, preamble=b"\0" * 128, file_meta=meta)
    out = io.BytesIO()
    file.save_as(out, enforce_file_format=True)
    return out.getvalue() if preamble else out.getvalue()[132:]


def minimal() -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = CTImageStorage, "1.2.3.4", "1.2.3", "1.2.3.1"
    ds.PatientID, ds.Modality = "P", "CT"
    return ds


@pytest.mark.parametrize("name", NAMES)
def test_every_character_set_is_decoded(data: Path, name: str) -> None:
    assert read_header(data / "conformance/charsets" / name).patient_name == NAMES[name]


@pytest.mark.parametrize("name", ["chrSQEncoding.dcm", "chrSQEncoding1.dcm"])
def test_items_with_a_character_set_of_their_own(data: Path, name: str) -> None:
    ds = read_dataset(data / "conformance/charsets" / name)
    names = [str(element.value) for element in ds.iterall() if element.VR == "PN"]
    assert names == ["Doctor^Who^^MD", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"]


@pytest.mark.parametrize(
    ("declared", "written"),
    [("ISO_IR 203", b"\xa6urek^\xbdil"), (r"ISO 2022 IR 6\ISO 2022 IR 203", b"\x1b-b\xa6urek^\x1b-b\xbdil")],
)
def test_latin_alphabet_9_is_not_read_as_latin_1(declared: str, written: bytes) -> None:
    ds = minimal()
    ds.PatientName = "X" * 20  # replaced below: pydicom is not asked to write what it does not know
    ds.SpecificCharacterSet = declared.split("\\")
    content = part10(ds)
    header = read_header(content.replace(b"X" * 20, written.ljust(20)))
    assert (header.patient_name, header.tolerated) == ("Šurek^œil", ())


def test_all_character_set_files_are_covered(data: Path) -> None:
    found = {path.name for path in (data / "conformance/charsets").iterdir()}
    assert found == set(NAMES) | {"chrSQEncoding.dcm", "chrSQEncoding1.dcm"}


def test_malformed_files_give_a_header_or_cannot_understand(data: Path) -> None:
    refused = []
    for path in sorted((data / "conformance/malformed").rglob("*.dcm")):
        for source in (path, io.BytesIO(path.read_bytes())):
            try:
                header = read_header(source)
                assert "\x00" not in repr(header)
            except CannotUnderstand:
                refused.append(path.name)
        read_route_values(read_dataset(path))
    assert sorted(set(refused)) == ["fodicom-GH220.dcm", "fodicom-GH487.dcm"]


def test_a_script_in_a_name_is_only_text(data: Path) -> None:
    header = read_header(data / "conformance/malformed/2017-06-27-XSSInjection.dcm")
    assert "<script>" in header.patient_name


def test_header_of_a_ct_slice(series: list[Path], chest: Chest) -> None:
    header = read_header(series[0])
    assert header.modality == "CT"
    assert header.body_part_examined == "CHEST"
    assert header.orientation == (1, 0, 0, 0, 1, 0)
    assert header.position == pytest.approx((*chest.origin_mm[:2], chest.origin_mm[2] + 19 * 3.0))
    assert header.pixel_spacing_mm == (4.0, 4.0)
    assert (header.rows, header.columns, header.number_of_frames) == (64, 64, 1)
    assert header.character_set == ("ISO_IR 192",)
    assert header.timezone_offset == "+0000"
    assert header.tolerated == ()


def test_pixel_data_are_never_read(tmp_path: Path) -> None:
    ds = minimal()
    ds.Rows = ds.Columns = 65535
    content = part10(ds) + b"\xe0\x7f\x10\x00OW\x00\x00" + (3 << 30).to_bytes(4, "little")
    path = tmp_path / "big.dcm"
    path.write_bytes(content)
    with path.open("r+b") as stream:
        stream.truncate(len(content) + (3 << 30))  # sparse
    header = read_header(path)
    assert header.rows == 65535
    assert header.tolerated == ()
    _, place = read_with_pixel_location(path)
    assert place is not None
    assert (place.offset, place.length) == (len(content), 3 << 30)


def test_pixel_data_cut_short_are_noted(tmp_path: Path) -> None:
    content = part10(minimal()) + b"\xe0\x7f\x10\x00OW\x00\x00" + (1000).to_bytes(4, "little") + b"\0" * 10
    assert "the pixel data end before their declared length" in read_header(io.BytesIO(content)).tolerated


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("empty", [True, False])
def test_identity_is_required(keyword: str, empty: bool) -> None:
    ds = minimal()
    if empty:
        setattr(ds, keyword, "")
    else:
        delattr(ds, keyword)
    content = io.BytesIO(part10(minimal())[:0] + _raw(ds))
    with pytest.raises(CannotUnderstand, match=keyword):
        read_header(content)


def _raw(ds: Dataset) -> bytes:
    """The data set without preamble and file meta information, as some archives export it."""
    out = io.BytesIO()
    ds.save_as(out, implicit_vr=True, little_endian=True)
    return out.getvalue()


def test_no_preamble_and_no_meta_is_tolerated() -> None:
    header = read_header(io.BytesIO(_raw(minimal())))
    assert header.transfer_syntax_uid == "1.2.840.10008.1.2"
    assert any("preamble" in words for words in header.tolerated)
    assert any("transfer syntax" in words for words in header.tolerated)


def test_no_preamble_but_meta_is_tolerated() -> None:
    header = read_header(io.BytesIO(part10(minimal(), preamble=False)))
    assert header.transfer_syntax_uid == ExplicitVRLittleEndian
    assert header.tolerated == ("no preamble and DICM prefix as PS3.10 7.1 says",)


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"\xff\xd8\xff\xe0" + b"JFIF" * 200, b"%PDF-1.7\n" * 60, b"\0" * 132 + b"DICM", b"\0" * 2000],
)
def test_other_files_than_dicom(content: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        read_header(io.BytesIO(content))


def _element(group: int, element: int, vr: str, value: bytes) -> bytes:
    return group.to_bytes(2, "little") + element.to_bytes(2, "little") + vr.encode() + len(value).to_bytes(2, "little") + value


def test_wrong_values_become_nothing_and_a_note() -> None:
    content = part10(minimal())
    content += _element(0x0020, 0x0013, "IS", b"NOT A NUMBER")
    content += _element(0x0020, 0x0032, "DS", b"1\\2 ")
    content += _element(0x0028, 0x0010, "US", b"\x01")
    header = read_header(io.BytesIO(content))
    assert (header.instance_number, header.position, header.rows) == (None, None, None)
    assert {"InstanceNumber is not 1 number", "ImagePositionPatient is not 3 numbers"} <= set(header.tolerated)
    assert not any("NOT A NUMBER" in words for words in header.tolerated)


def test_text_is_fit_for_a_database() -> None:
    content = part10(minimal()) + _element(0x0020, 0x0010, "SH", b"A\0B\x07C ") + _element(0x0040, 0x0009, "SH", b"x")
    header = read_header(io.BytesIO(content))
    assert header.study_id == "ABC"
    assert "StudyID: control characters removed" in header.tolerated


def test_utf8_without_a_declared_character_set() -> None:
    content = part10(minimal()) + _element(0x0020, 0x0010, "SH", "Ärzte ".encode())
    assert read_header(io.BytesIO(content)).study_id == "Ärzte"


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2.3/../..", "1.2.'; DROP TABLE instances;--", "1..2"])
def test_hostile_uids_stay_text(uid: str) -> None:
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    content = part10(minimal()).replace(_element(0x0008, 0x0018, "UI", b"1.2.3.4\0"), _element(0x0008, 0x0018, "UI", raw), 1)
    header = read_header(io.BytesIO(content))
    assert header.sop_instance_uid == uid
    assert "a UID is not formed as PS3.5 9.1 says" in header.tolerated


def test_a_uid_of_several_values_is_refused() -> None:
    """No result could refer to it: pydicom splits it at the backslash."""
    ds = minimal()
    content = part10(ds).replace(_element(0x0008, 0x0018, "UI", b"1.2.3.4\0"), _element(0x0008, 0x0018, "UI", b"1.2\\3.4\0"), 1)
    with pytest.raises(CannotUnderstand, match="several values"):
        read_header(io.BytesIO(content))


def test_a_uid_longer_than_a_database_index_allows_is_refused() -> None:
    content = part10(minimal()).replace(_element(0x0008, 0x0018, "UI", b"1.2.3.4\0"), _element(0x0008, 0x0018, "UI", b"1." * 500), 1)
    with pytest.raises(CannotUnderstand, match="longer than 256"):
        read_header(io.BytesIO(content))


def _deflated(ds: Dataset, tail: bytes = b"") -> bytes:
    head = part10(Dataset(), syntax=DeflatedExplicitVRLittleEndian)
    meta_end = head.index(b"\x02\x00\x10\x00UI") + 8 + 22
    while head[meta_end : meta_end + 2] == b"\x02\x00":
        meta_end += 8 + int.from_bytes(head[meta_end + 6 : meta_end + 8], "little")
    plain = io.BytesIO()
    ds.save_as(plain, implicit_vr=False, little_endian=True)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return head[:meta_end] + packer.compress(plain.getvalue() + tail) + packer.flush()


def test_deflated(tmp_path: Path) -> None:
    ds = minimal()
    ds.PatientName = "Deflated^One"
    header = read_header(io.BytesIO(_deflated(ds)))
    assert (header.patient_name, header.transfer_syntax_uid) == ("Deflated^One", DeflatedExplicitVRLittleEndian)
    ds.add_new(0x7FE00010, "OW", b"\1\2" * 5_000_000)
    path = tmp_path / "deflated.dcm"
    path.write_bytes(_deflated(ds))
    assert read_header(path).patient_name == "Deflated^One"
    assert len(read_dataset(path, pixels=True).PixelData) == 10_000_000


def test_deflate_bomb_is_refused() -> None:
    huge = b"\x42\x00\x11\x00OB\0\0" + (2**31).to_bytes(4, "little") + b"\0" * 9_000_000
    bomb = _deflated(minimal(), tail=huge)
    assert len(bomb) < 20_000
    with pytest.raises(CannotUnderstand, match=r"more than 5000000 inflated bytes .*\(0042,0011\)"):
        read_dataset(io.BytesIO(bomb), max_inflated_bytes=5_000_000)


def test_deep_nesting_is_refused() -> None:
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = part10(minimal()) + opened * 20_000
    with pytest.raises(CannotUnderstand, match="nested too deep"):
        read_header(io.BytesIO(content))
    assert sys.getrecursionlimit() >= 1000


def test_an_element_that_claims_four_gigabytes() -> None:
    content = part10(minimal()) + b"\x42\x00\x11\x00OB\0\0" + b"\xfe\xff\xff\xff" + b"\0" * 100
    header = read_header(io.BytesIO(content))
    assert header.patient_id == "P"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, 3000))
def test_flipped_and_cut_bytes_never_give_another_exception(flips: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(_SAMPLE[: len(_SAMPLE) - cut])
    for at, value in flips:
        content[at % len(content)] = value
    for pixels in (False, True):
        try:
            dataset = read_dataset(io.BytesIO(bytes(content)), pixels=pixels)
            read_route_values(dataset)
            read_header(io.BytesIO(bytes(content)))
        except CannotUnderstand:
            pass


def _sample() -> bytes:
    ds = minimal()
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName = "Yamada^Tarou=山田^太郎"
    ds.ReferencedImageSequence = [Dataset(), Dataset()]
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    ds.ImagePositionPatient, ds.Rows = [1, 2, 3], 4
    ds.add_new(0x7FE00010, "OW", b"\1\2" * 1000)
    return part10(ds)


_SAMPLE = _sample()


def test_threads_share_the_warning_filters() -> None:
    content = part10(minimal()) + _element(0x0020, 0x0010, "SH", b"far too long for a short string")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        headers = list(pool.map(lambda _: read_header(io.BytesIO(content)), range(200)))
    assert {header.tolerated for header in headers} == {("a value is longer than VR SH allows",)}
    assert warnings.filters == before


def test_route_values(series: list[Path]) -> None:
    found = read_route_values(read_dataset(series[3]))
    assert found["Modality"] == "CT"
    assert found["SliceThickness"] == 3.0
    assert found["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert found["PixelSpacing"] == (4.0, 4.0)
    assert found["WindowCenter"] == (-600.0, 40.0)
    assert found["PatientName"] == "Synthetic^Chest"
    assert "PixelData" not in found
    assert all(isinstance(v, (str, float, tuple)) for v in found.values())


def test_route_values_include_shared_functional_groups(chest: Chest, tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(chest).save_as(path, enforce_file_format=True)
    found = read_route_values(read_dataset(path))
    assert found["SliceThickness"] == 3.0
    assert found["PixelSpacing"] == (4.0, 4.0)
    assert found["ImageOrientationPatient"] == (1, 0, 0, 0, 1, 0)
    assert "PerFrameFunctionalGroupsSequence" not in found
    header = read_header(path)
    assert (header.slice_thickness_mm, header.orientation, header.number_of_frames) == (3.0, (1, 0, 0, 0, 1, 0), 20)


def test_disagreeing_file_meta_is_noted(chest: Chest) -> None:
    ds = next(chest_datasets(chest))
    ds.SOPInstanceUID = "2.25.999"
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    content = out.getvalue().replace(b"2.25.999", b"2.25.998", 1)
    assert read_header(io.BytesIO(content)).tolerated == ("file meta information and data set name different SOP instances",)
