import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from core.errors import CannotUnderstand, PixelError
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion
from imaging.headers.identity import Identity
from imaging.photograph.body_sites import coded_sites, site_code
from imaging.photograph.encapsulate import jpeg_to_dicom
from imaging.photograph.read import read_photograph
from imaging.pixels.grey import to_grey_rgb
from imaging.pixels.grey_attributes import GreyAttributes
from imaging.pixels.pixel_spec import PixelSpec
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN
from tests.support.monai_classifiers import drawing, radiograph

WHO = Identity("P-1", "2.25.10", patient_name="Ärztin^Eva", patient_age="045Y", patient_sex="F", study_date="20260102", study_time="1015")


def jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(make_lesion(3, size=(90, 120)).jpeg)).save(out, "JPEG", **options)
    return out.getvalue()


def rgb(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def wrapped(content: bytes, **arguments: object) -> Dataset:
    return jpeg_to_dicom(content, **{"identity": WHO, "series_instance_uid": "2.25.11", "sop_instance_uid": "2.25.12", **arguments})


def saved(ds: Dataset, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("kind", ["dermoscopy", "vl"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_a_jpeg_is_kept_as_it_is(tmp_path: Path, kind: str, subsampling: str) -> None:
    content = jpeg(quality=92, subsampling=subsampling)
    path = saved(wrapped(content, kind=kind, site="back"), tmp_path / "p.dcm")
    ds = pydicom.dcmread(path)
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    assert frame[: len(content)] == content
    assert len(frame) - len(content) <= 1
    photograph = read_photograph(path)
    assert np.abs(photograph.rgb.astype(int) - rgb(content)).max() <= 2
    assert (photograph.age_years, photograph.sex, photograph.site) == (45.0, "F", "back")
    assert photograph.sop_instance_uid == "2.25.12"
    assert photograph.notes == ()


def test_the_dermoscopic_object_holds_what_its_iod_wants(tmp_path: Path) -> None:
    ds = pydicom.dcmread(saved(lesion_dataset(4, size=(90, 120)), tmp_path / "d.dcm"))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.7"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
    for keyword in ("FrameOfReferenceUID", "DeviceSerialNumber", "SoftwareVersions", "RecognizableVisualFeatures", "Manufacturer"):
        assert ds[keyword].value, keyword
    for keyword in ("AcquisitionContextSequence", "LightSourcePolarization", "ContactMethod", "EmitterColorTemperature", "Laterality"):
        assert keyword in ds, keyword
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    assert ds.AnatomicRegionSequence[0].CodingSchemeDesignator == "SCT"


@pytest.mark.parametrize("kind", ["dermoscopy", "vl"])
def test_dciodvfy_finds_no_error(tmp_path: Path, kind: str) -> None:
    path = saved(wrapped(jpeg(), kind=kind, site="face"), tmp_path / "d.dcm")
    assert pydicom.dcmread(path).LossyImageCompressionMethod == "ISO_10918_1"
    if shutil.which("dciodvfy"):  # dicom3tools, where it is installed
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
        assert "Error" not in said


def test_rgb_stored_in_jpeg(tmp_path: Path) -> None:
    import imagecodecs

    original = rgb(jpeg())
    content = imagecodecs.jpeg8_encode(original, level=95, colorspace="rgb", outcolorspace="rgb")
    ds = wrapped(content)
    assert ds.PhotometricInterpretation == "RGB"
    photograph = read_photograph(saved(ds, tmp_path / "r.dcm"))
    assert np.abs(photograph.rgb.astype(int) - original).mean() < 4


def test_jfif_counts_where_an_adobe_segment_contradicts_it(tmp_path: Path) -> None:
    """As libjpeg decodes it, by which cameras' users and viewers see the photograph."""
    plain = jpeg(quality=90)
    behind_jfif = 4 + int.from_bytes(plain[4:6], "big")
    content = plain[:behind_jfif] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" + plain[behind_jfif:]
    ds = wrapped(content)
    assert ds.PhotometricInterpretation == "YBR_FULL_422"
    photograph = read_photograph(saved(ds, tmp_path / "p.dcm"))
    assert np.abs(photograph.rgb.astype(int) - rgb(content)).max() <= 2


def test_the_codestream_decides_where_the_header_contradicts_it(tmp_path: Path) -> None:
    content = jpeg()
    ds = wrapped(content)
    ds.PhotometricInterpretation = "RGB"  # a JFIF stream is YCbCr, whatever the header says
    photograph = read_photograph(saved(ds, tmp_path / "w.dcm"))
    assert np.abs(photograph.rgb.astype(int) - rgb(content)).max() <= 2
    assert photograph.notes == ("the header says RGB, the JPEG stream is YCbCr: the stream was used",)


@pytest.mark.parametrize("options", [{"progressive": True}])
def test_jpeg_that_is_not_baseline_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(PixelError, match="baseline"):
        wrapped(jpeg(**options))


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"GIF89a", b"\xff\xd8\xff\xe0\0\x10JFIF\0"])
def test_other_content_than_jpeg_is_refused(content: bytes) -> None:
    with pytest.raises(PixelError, match="baseline JPEG"):
        wrapped(content)


def test_a_grey_jpeg_is_refused() -> None:
    out = io.BytesIO()
    Image.new("L", (20, 20)).save(out, "JPEG")
    with pytest.raises(PixelError, match="colour JPEG"):
        wrapped(out.getvalue())


# The same picture in several colour spaces: the first of each group is the reference.
@pytest.mark.parametrize(
    ("reference", "other", "limit"),
    [
        ("visible-light-colour/VL1_RLE.dcm", "visible-light-colour/VL1_J2KR.dcm", 0),
        ("visible-light-colour/VL1_RLE.dcm", "visible-light-colour/VL1_J2KI.dcm", 60),
        ("visible-light-colour/VL6_RLE.dcm", "visible-light-colour/VL6_J2KR.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom-data/SC_ybr_full_uncompressed.dcm", 8),
        ("pydicom-data/SC_rgb.dcm", "pydicom-data/SC_rgb_expb.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom-data/SC_rgb_16bit.dcm", 0),
        ("pydicom-data/SC_rgb.dcm", "pydicom-data/SC_rgb_32bit.dcm", 0),
        ("pydicom-data/color-px.dcm", "pydicom-data/color-pl.dcm", 0),
        ("pydicom-data/OBXXXX1A.dcm", "pydicom-data/OBXXXX1A_rle.dcm", 0),
        ("pydicom-data/OBXXXX1A.dcm", "pydicom-data/OBXXXX1A_expb.dcm", 0),
        ("pydicom-data/gdcm-US-ALOKA-16.dcm", "pydicom-data/gdcm-US-ALOKA-16_big.dcm", 0),
        ("pydicom-data/JLSL_RGB_ILV0.dcm", "pydicom-data/JLSL_RGB_ILV2.dcm", 0),
        ("pydicom-data/HTJ2KLossless_08_RGB.dcm", "pydicom-data/HTJ2K_08_RGB.dcm", 60),
    ],
)
def test_colour_spaces_agree(data: Path, reference: str, other: str, limit: int) -> None:
    first, second = (read_photograph(data / "conformance" / name).rgb.astype(int) for name in (reference, other))
    assert first.shape == second.shape
    assert np.abs(first - second).max() <= limit
    assert np.abs(first - second).mean() <= limit / 10


def test_a_palette_is_applied(data: Path) -> None:
    photograph = read_photograph(data / "conformance/pydicom-data/OT-PAL-8-face.dcm")
    assert photograph.rgb.shape == (480, 640, 3)
    red, green, blue = photograph.rgb.reshape(-1, 3).mean(0)
    assert red > green > blue > 50  # a face


@pytest.mark.parametrize("name", ["pydicom-data/JPEG-LL.dcm", "pydicom-data/liver.dcm", "transfer-syntaxes-cornerstone/CTImage.dcm"])
def test_a_grey_dicom_is_refused(data: Path, name: str) -> None:
    with pytest.raises(PixelError, match="colour image is expected"):
        read_photograph(data / "conformance" / name)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_plain_files(tmp_path: Path, suffix: str) -> None:
    original = rgb(jpeg())
    path = tmp_path / f"p.{suffix}"
    Image.fromarray(original).save(path, quality=95)
    photograph = read_photograph(path)
    assert np.abs(photograph.rgb.astype(int) - original).mean() < 3
    assert (photograph.sop_instance_uid, photograph.age_years, photograph.sex, photograph.site) == ("", None, "", "")


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    (tmp_path / "e.jpg").write_bytes(jpeg(exif=exif))
    assert read_photograph(tmp_path / "e.jpg").rgb.shape == (120, 90, 3)


@pytest.mark.parametrize("mode", ["L", "1", "I;16"])
def test_a_plain_grey_image_is_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (20, 20)).save(tmp_path / "g.png")
    with pytest.raises(PixelError, match="colour image is expected"):
        read_photograph(tmp_path / "g.png")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:900])
    with pytest.raises(PixelError, match="cannot be decoded"):
        read_photograph(tmp_path / "cut.jpg")
    (tmp_path / "text.jpg").write_bytes(b"hello")
    with pytest.raises(CannotUnderstand):
        read_photograph(tmp_path / "text.jpg")


def test_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jpg").write_bytes(jpeg())
    with pytest.raises(PixelError, match="more than allowed"):
        read_photograph(tmp_path / "p.jpg", max_bytes=1000)
    path = saved(wrapped(jpeg()), tmp_path / "p.dcm")
    with pytest.raises(PixelError, match="more than the 1000 allowed"):
        read_photograph(path, max_bytes=1000)


def test_an_icc_profile_is_applied(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    ds = wrapped(jpeg())
    ds.ICCProfile = lab
    assert read_photograph(saved(ds, tmp_path / "s.dcm")).notes == ()  # sRGB already
    ds.ICCProfile = b"no profile at all "
    photograph = read_photograph(saved(ds, tmp_path / "n.dcm"))
    assert photograph.notes == ("the ICC profile is not usable: colours taken as sRGB",)
    assert np.abs(photograph.rgb.astype(int) - rgb(jpeg())).max() <= 2


@pytest.mark.parametrize(
    ("age", "birth", "years"),
    [("045Y", "", 45.0), ("018M", "", 1.5), ("", "19860102", 40.0), ("45Y", "", None), ("", "", None), ("abcd", "20300101", None)],
)
def test_age(tmp_path: Path, age: str, birth: str, years: float | None) -> None:
    ds = wrapped(jpeg())
    ds.PatientBirthDate = birth
    del ds.PatientAge
    if age:
        ds.add_new(0x00101010, "LO", age)  # written as it is, valid or not
        ds["PatientAge"].VR = "LO"
    found = read_photograph(saved(ds, tmp_path / "a.dcm")).age_years
    assert found == pytest.approx(years, abs=0.01)


@pytest.mark.parametrize(("written", "spacing"), [([0.02, 0.03], (0.02, 0.03)), ([0, 0], None), ([-1, 1], None)])
def test_a_pixel_spacing_that_is_not_above_zero_is_none(tmp_path: Path, written: list[float], spacing: tuple[float, float] | None) -> None:
    ds = wrapped(jpeg())
    ds.PixelSpacing = written
    found = read_photograph(saved(ds, tmp_path / "s.dcm"))
    assert found.pixel_spacing_mm == spacing
    assert len(found.notes) == (spacing is None)


@pytest.mark.parametrize("word", coded_sites())
def test_every_body_site_is_read_back(tmp_path: Path, word: str) -> None:
    code = site_code(word)
    assert code is not None
    assert read_photograph(saved(wrapped(jpeg(), site=word), tmp_path / "s.dcm")).site == word


@pytest.mark.parametrize(("part", "site"), [("BACK", "back"), ("LEG", "lower extremity"), ("THORAX", "chest"), ("SPLEEN", ""), ("", "")])
def test_body_part_examined(tmp_path: Path, part: str, site: str) -> None:
    ds = wrapped(jpeg())
    ds.BodyPartExamined = part
    assert read_photograph(saved(ds, tmp_path / "b.dcm")).site == site


def test_real_photographs(data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(data / "dermoscopy/ham10000-224.tar") as archive:
        members = [member for _, member in zip(range(12), archive, strict=False) if member.isfile()][:5]
        contents = [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
    for content in contents:
        photograph = read_photograph(saved(wrapped(content), tmp_path / "h.dcm"))
        assert photograph.rgb.shape == (224, 224, 3)
        assert np.abs(photograph.rgb.astype(int) - rgb(content)).max() <= 2


def test_a_grey_image_is_read_as_its_window_shows_it(tmp_path: Path) -> None:
    """MONOCHROME1 with 12 bits and a window from the lowest to the highest value: the drawing comes back, within a rounding."""
    image = radiograph(True, 4)
    path = saved(image, tmp_path / "dx.dcm")
    with pytest.raises(PixelError, match="a colour image is expected, MONOCHROME1 came"):
        read_photograph(path)
    shown = read_photograph(path, grey=True)
    assert shown.rgb.shape == (90, 120, 3)
    assert np.abs(shown.rgb[..., 1].astype(int) - drawing(True, 4, (90, 120))).max() <= 1
    assert (shown.rgb == shown.rgb[..., :1]).all()
    assert shown.notes == ()


def test_a_grey_image_without_a_window_shows_its_whole_range(tmp_path: Path) -> None:
    image = radiograph(True, 4)
    del image.WindowCenter, image.WindowWidth
    shown = read_photograph(saved(image, tmp_path / "dx.dcm"), grey=True)
    assert (shown.rgb.min(), shown.rgb.max()) == (0, 255)
    assert shown.notes == ("the header has no window: the range from the lowest to the highest value was used",)


@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": "1", "RescaleIntercept": "0"}, {"RescaleSlope": "2", "RescaleIntercept": "-10"}])
def test_an_image_of_eight_bits_is_shown_as_it_is_whatever_its_rescale(tmp_path: Path, rescale: dict[str, str]) -> None:
    """With Rescale Slope 1, which many devices write, the grey values were stretched to the whole range."""
    image, values = radiograph(True, 4), drawing(True, 4, (90, 120)) // 4 + 20
    del image.WindowCenter, image.WindowWidth
    image.PhotometricInterpretation, image.BitsAllocated, image.BitsStored, image.HighBit = "MONOCHROME2", 8, 8, 7
    image.PixelData = values.tobytes()
    image["PixelData"].VR = "OB"
    for keyword, value in rescale.items():
        setattr(image, keyword, value)
    shown = read_photograph(saved(image, tmp_path / "dx.dcm"), grey=True)
    assert (shown.rgb[..., 0] == values).all()
    assert shown.notes == ()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("value", "limit"), [(60_000, None), (61_000, 59_000)])
def test_padding_of_a_grey_image_without_a_window_is_black_and_takes_no_part_in_the_range(
    tmp_path: Path, photometric: str, value: int, limit: int | None
) -> None:
    image = radiograph(True, 4)
    del image.WindowCenter, image.WindowWidth
    image.PhotometricInterpretation, image.BitsStored, image.HighBit = photometric, 16, 15
    plain = read_photograph(saved(image, tmp_path / "plain.dcm"), grey=True)
    stored = np.frombuffer(image.PixelData, "<u2").reshape(90, 120).copy()
    stored[:20] = 60_000
    stored[45, 60:62] = np.frombuffer(image.PixelData, "<u2").min(), np.frombuffer(image.PixelData, "<u2").max()
    image.PixelData = stored.tobytes()
    image.PixelPaddingValue = value
    if limit is not None:
        image.PixelPaddingRangeLimit = limit
    shown = read_photograph(saved(image, tmp_path / "padded.dcm"), grey=True)
    assert not shown.rgb[:20].any()
    assert (shown.rgb[20:45] == plain.rgb[20:45]).all()


def test_the_tables_of_a_grey_image_are_applied_and_broken_ones_are_named(tmp_path: Path) -> None:
    image = radiograph(False, 4)
    del image.WindowCenter, image.WindowWidth
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", "US", [255 - value // 16 for value in range(4096)])
    image.VOILUTSequence = [table]
    image.PhotometricInterpretation = "MONOCHROME2"
    shown = read_photograph(saved(image, tmp_path / "table.dcm"), grey=True).rgb[..., 0]
    assert (shown == 255 - image.pixel_array // 16).all()
    del table.LUTData
    with pytest.raises(PixelError, match="cannot be shown by the header's tables"):
        read_photograph(saved(image, tmp_path / "broken.dcm"), grey=True)


def test_the_words_of_a_table_have_the_byte_order_of_their_file() -> None:
    spec = PixelSpec(EXPLICIT_VR_LITTLE_ENDIAN, 16, 16, 1, 1, 16, 12, 11, False, "MONOCHROME2", 0)
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    shown = []
    for syntax, order in ((EXPLICIT_VR_LITTLE_ENDIAN, "<"), (EXPLICIT_VR_BIG_ENDIAN, ">")):
        header, table = Dataset(), Dataset()
        table.LUTDescriptor = [256, 0, 16]
        table.add_new("LUTData", "OW", (np.sqrt(np.arange(256) / 255) * 65535).astype(f"{order}u2").tobytes())
        header.VOILUTSequence = [table]
        shown.append(to_grey_rgb(GreyAttributes(header, header, header), replace(spec, transfer_syntax_uid=syntax), values, []))
    assert shown[0][0, 1, 0] == 16  # the root of 1/255
    assert (shown[0] == shown[1]).all()
