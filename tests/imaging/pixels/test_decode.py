import contextlib
import io
import struct
import zlib
from pathlib import Path
from random import Random

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from core.errors import PixelError
from imaging.pixels.codecs import DECODERS
from imaging.pixels.codestream import read_codestream
from imaging.pixels.decode import decode_frames
from imaging.pixels.pixel_spec import pixel_spec
from imaging.wire.tolerant_parser import read_dataset

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
CORNERSTONE = "conformance/transfer-syntaxes-cornerstone"


def image(values: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, **attributes: object) -> Dataset:
    """A data set around an array, (N, Y, X) or (N, Y, X, 3)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    ds = FileDataset("", Dataset(), file_meta=meta, is_implicit_VR=False, is_little_endian=True)
    ds.NumberOfFrames, ds.Rows, ds.Columns = values.shape[:3]
    ds.SamplesPerPixel = 3 if values.ndim == 4 else 1
    ds.PhotometricInterpretation = "RGB" if values.ndim == 4 else "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = values.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    ds.PixelData = values.tobytes()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def _by_syntax(data: Path) -> dict[str, Path]:
    return {path.name.split("_")[-1].removesuffix(".dcm"): path for path in (data / CORNERSTONE).glob("CTImage.dcm_*")}


def test_every_lossless_syntax_is_equal_bit_for_bit(data: Path) -> None:
    plain = decode_frames(read_dataset(data / CORNERSTONE / "CTImage.dcm", pixels=True))
    assert plain.shape == (1, 512, 512)
    assert plain.dtype == np.int16
    files = _by_syntax(data)
    for syntax in ("2.2", "2.1.99", "2.4.90", "2.4.80", "2.4.70", "2.4.57", "2.1", "2", "2.5"):
        decoded = decode_frames(read_dataset(files[f"1.2.840.10008.1.{syntax}"], pixels=True))
        assert decoded.dtype == np.int16
        np.testing.assert_array_equal(decoded, plain, err_msg=syntax)


def test_lossy_syntaxes_are_close_or_rescaled(data: Path) -> None:
    plain = decode_frames(read_dataset(data / CORNERSTONE / "CTImage.dcm", pixels=True)).astype(int)
    files = _by_syntax(data)
    for syntax, limit in (("2.4.91", 5), ("2.4.81", 1)):
        decoded = decode_frames(read_dataset(files[f"1.2.840.10008.1.{syntax}"], pixels=True)).astype(int)
        assert 0 < np.abs(decoded - plain).max() <= limit
    for syntax, bits in (("2.4.50", 8), ("2.4.51", 12), ("2.4.53", 12), ("2.4.55", 12)):
        decoded = decode_frames(read_dataset(files[f"1.2.840.10008.1.{syntax}"], pixels=True)).astype(float)
        assert 2**bits > decoded.max() > 2 ** (bits - 1)
        assert np.corrcoef(decoded.ravel(), plain.ravel())[0, 1] > 0.98, syntax


def test_fragmented_frames_without_offset_table(data: Path) -> None:
    frames = decode_frames(read_dataset(data / CORNERSTONE / "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", pixels=True))
    assert frames.shape == (2, 512, 512)
    assert frames[0].std() > 100
    assert frames[1].std() > 100
    assert not np.array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("emri_small_RLE.dcm", "emri_small.dcm"),
        ("emri_small_big_endian.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_2k_lossless.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_2k_lossless_too_short.dcm", "emri_small.dcm"),
        ("emri_small_jpeg_ls_lossless.dcm", "emri_small.dcm"),
        ("OBXXXX1A_expb_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("OBXXXX1A_rle_2frame.dcm", "OBXXXX1A_2frame.dcm"),
        ("SC_rgb_expb_16bit_2frame.dcm", "SC_rgb_16bit_2frame.dcm"),
        ("SC_rgb_expb_32bit.dcm", "SC_rgb_32bit.dcm"),
        ("color-pl.dcm", "color-px.dcm"),
        ("gdcm-US-ALOKA-16_big.dcm", "gdcm-US-ALOKA-16.dcm"),
        ("693_J2KR.dcm", "693_UNCR.dcm"),
        ("liver_nonbyte_aligned_rle.dcm", "liver_nonbyte_aligned.dcm"),
        ("liver_nonbyte_aligned_deflate.dcm", "liver_nonbyte_aligned.dcm"),
        ("liver_nonbyte_aligned_j2k.dcm", "liver_nonbyte_aligned.dcm"),
        ("liver_expb.dcm", "liver.dcm"),
        ("liver_rle.dcm", "liver.dcm"),
    ],
)
def test_pairs_of_the_same_image(data: Path, first: str, second: str) -> None:
    folder = data / "conformance/pydicom-data"
    one, other = (decode_frames(read_dataset(folder / name, pixels=True)) for name in (first, second))
    np.testing.assert_array_equal(one, other)


def test_every_image_of_the_conformance_set_decodes_or_says_why(data: Path) -> None:
    refused = set()
    for path in sorted((data / "conformance").rglob("*.dcm")):
        if path.parent.name in ("charsets", "PatientIdsCollision"):
            continue
        try:
            frames = decode_frames(read_dataset(path, pixels=True))
            assert frames.ndim in (3, 4)
        except PixelError:
            refused.add(path.name)
    assert refused == {
        "no-pixel-data.dcm",
        "2017-06-27-XSSInjection.dcm",
        "2026-05-26-oob-monochrome-46341.dcm",
        "DummyCTInvalidRows.dcm",
        "DummyCTWithLongTag.dcm",
        "Issue154-d1.dcm",
        "Issue154-d2.dcm",
        "Issue22-NoPixelData.dcm",
        "fodicom-GH178.dcm",
        "fodicom-GH220.dcm",
        "fodicom-GH487.dcm",
    }


def test_hostile_sizes_are_refused_before_anything_is_allocated() -> None:
    ds = image(np.zeros((1, 4, 4), np.uint16))
    ds.Rows = ds.Columns = 46341
    with pytest.raises(PixelError, match="more than the"):
        decode_frames(ds)
    ds.Rows = ds.Columns = 4000
    with pytest.raises(PixelError, match="32000000 bytes of pixel data expected, 32 came"):
        decode_frames(ds)
    with pytest.raises(PixelError, match="more than the 1000"):
        decode_frames(ds, max_bytes=1000)
    ds.NumberOfFrames = 2**31 - 1
    with pytest.raises(PixelError, match="more than the"):
        decode_frames(ds)


def test_a_compressed_frame_of_another_size_is_refused() -> None:
    frame = imagecodecs.jpegls_encode(np.zeros((300, 200), np.uint8))
    ds = image(np.zeros((1, 20, 20), np.uint8), syntax=JPEGLSLossless, PixelData=encapsulate([frame]))
    with pytest.raises(PixelError, match="the header says 20 x 20 x 1, the compressed frame 300 x 200 x 1"):
        decode_frames(ds)
    deep = imagecodecs.jpegls_encode(np.zeros((20, 20), np.uint16))
    ds.PixelData = encapsulate([deep])
    with pytest.raises(PixelError, match="allocates 8 bits"):
        decode_frames(ds)


def test_missing_frames_are_refused() -> None:
    frame = imagecodecs.jpegls_encode(np.zeros((20, 20), np.uint8))
    ds = image(np.zeros((3, 20, 20), np.uint8), syntax=JPEGLSLossless, PixelData=encapsulate([frame, frame]))
    with pytest.raises(PixelError):
        decode_frames(ds)


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
def test_missing_attributes(keyword: str) -> None:
    ds = image(np.zeros((1, 4, 4), np.uint16))
    delattr(ds, keyword)
    with pytest.raises(PixelError, match="missing"):
        decode_frames(ds)


def test_unknown_transfer_syntax() -> None:
    ds = image(np.zeros((1, 4, 4), np.uint8), syntax="1.2.840.10008.1.2.4.100")
    with pytest.raises(PixelError, match="no decoder"):
        decode_frames(ds)


def test_overlay_bits_are_cleared_and_signs_extended() -> None:
    stored = np.array([[[0, 1, 2047, 4095]]], np.uint16)
    overlay = stored | np.uint16(0xA000)
    unsigned = image(overlay, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(decode_frames(unsigned), stored)
    signed = image(overlay, BitsStored=12, HighBit=11, PixelRepresentation=1)
    np.testing.assert_array_equal(decode_frames(signed), np.array([[[0, 1, 2047, -1]]], np.int16))
    high = image(stored << 4, BitsStored=12, HighBit=15)
    np.testing.assert_array_equal(decode_frames(high), stored)


@pytest.mark.parametrize("syntax", [RLELossless, DEFLATED_FRAMES])
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("high_bit", [11, 15])
def test_compressed_words_are_read_as_native_ones(syntax: str, sign: int, high_bit: int) -> None:
    """Bits Stored and High Bit hold for the words of RLE and deflated frames too: other bits may be an overlay (PS3.5 8.1.1)."""
    words = np.random.default_rng(0).integers(0, 1 << 16, (1, 4, 4), np.uint16)
    layout = {"BitsStored": 12, "HighBit": high_bit, "PixelRepresentation": sign}
    if syntax == RLELossless:
        planes = [plane.tobytes() for plane in ((words >> 8).astype(np.uint8), (words & 0xFF).astype(np.uint8))]
        packed = struct.pack("<16L", 2, 64, 64 + 18, *[0] * 13) + b"".join(b"\x0f" + plane + b"\x80" for plane in planes)
    else:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = deflate.compress(words.tobytes()) + deflate.flush()
    compressed = image(words, syntax=syntax, **layout, PixelData=encapsulate([packed]))
    np.testing.assert_array_equal(decode_frames(compressed), decode_frames(image(words, **layout)))


def test_big_endian_bytes_in_words_are_swapped() -> None:
    plain = np.arange(8, dtype=np.uint8).reshape(1, 2, 4)
    swapped = plain.reshape(-1).view(np.uint16).byteswap()
    ds = image(plain, syntax=ExplicitVRBigEndian, PixelData=swapped.tobytes())
    ds["PixelData"].VR = "OW"
    np.testing.assert_array_equal(decode_frames(ds), plain)
    ds.PixelData = plain.tobytes()
    ds["PixelData"].VR = "OB"
    np.testing.assert_array_equal(decode_frames(ds), plain)


def test_ybr_422_is_expanded() -> None:
    stored = np.array([10, 20, 100, 200, 30, 40, 101, 201], np.uint8)
    ds = image(np.zeros((1, 1, 4, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422", PixelData=stored.tobytes())
    expected = [[10, 100, 200], [20, 100, 200], [30, 101, 201], [40, 101, 201]]
    np.testing.assert_array_equal(decode_frames(ds)[0, 0], expected)


def test_jpeg_keeps_stored_values() -> None:
    """YCbCr samples stay YCbCr: colour is converted by `imaging.pixels.colour`."""
    red = np.full((1, 16, 16, 3), (255, 0, 0), np.uint8)
    frame = imagecodecs.jpeg8_encode(red[0], level=100)
    ds = image(red, syntax=JPEGBaseline8Bit, PhotometricInterpretation="YBR_FULL_422", PixelData=encapsulate([frame]))
    assert np.abs(decode_frames(ds)[0, 8, 8].astype(int) - (76, 85, 255)).max() <= 2


def test_extended_offset_table() -> None:
    frames = [imagecodecs.jpeg2k_encode(np.full((16, 16), value, np.uint8), level=0, codecformat="J2K") for value in (3, 9)]
    padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
    ds = image(np.zeros((2, 16, 16), np.uint8), syntax=JPEG2000Lossless, PixelData=encapsulate(padded, has_bot=False))
    ds.ExtendedOffsetTable = np.array([0, len(padded[0]) + 8], "<u8").tobytes()
    ds.ExtendedOffsetTableLengths = np.array([len(p) for p in padded], "<u8").tobytes()
    decoded = decode_frames(ds)
    assert (decoded[0] == 3).all()
    assert (decoded[1] == 9).all()


def test_every_syntax_of_the_table_has_a_decoder() -> None:
    assert all(DECODERS.values())
    assert len(DECODERS) >= 15


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["rle", "jpegls", "j2k", "jpeg"]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_frames_never_give_another_exception(kind: str, flips: list[tuple[int, int]]) -> None:
    syntax, frame = _FRAMES[kind]
    damaged = bytearray(frame)
    for at, value in flips:
        damaged[at % len(damaged)] = value
    ds = image(_PLAIN[None], syntax=syntax, PixelData=encapsulate([bytes(damaged)]))
    with contextlib.suppress(PixelError):
        assert decode_frames(ds).shape == (1, 32, 32)


def test_damaged_tables_of_jpeg_lossless_crash_no_codec() -> None:
    """Damaged Huffman tables and scan parameters made two other codecs read beyond their memory (make fuzz, seed 1)."""
    values = (np.arange(32 * 32, dtype=np.uint16) * 4 % 4096).reshape(32, 32)
    frame, dice = imagecodecs.ljpeg_encode(values, bitspersample=12), Random(1)
    for _ in range(400):
        damaged = bytearray(frame)
        for _ in range(dice.choice((1, 2, 4, 8))):
            damaged[dice.randrange(2, 60)] = dice.choice((0, 1, 0x7F, 0x80, 255, dice.randrange(256)))
        ds = image(values[None], syntax=JPEGLosslessSV1, PixelData=encapsulate([bytes(damaged)]))
        with contextlib.suppress(PixelError):
            assert decode_frames(ds).shape == (1, 32, 32)


_PLAIN = (np.add.outer(np.arange(32), np.arange(32)) * 3).astype(np.uint8)
_FRAMES = {
    "rle": (RLELossless, b"\1\0\0\0\x40\0\0\0" + b"\0" * 56 + b"".join(b"\x1f" + row.tobytes() for row in _PLAIN)),
    "jpegls": (JPEGLSLossless, imagecodecs.jpegls_encode(_PLAIN)),
    "j2k": (JPEG2000Lossless, imagecodecs.jpeg2k_encode(_PLAIN, level=0, codecformat="J2K")),
    "jpeg": (JPEGBaseline8Bit, imagecodecs.jpeg8_encode(_PLAIN)),
}


@pytest.mark.parametrize("kind", ["rle", "jpegls", "j2k", "jpeg"])
def test_the_undamaged_frames_decode(kind: str) -> None:
    syntax, frame = _FRAMES[kind]
    decoded = decode_frames(image(_PLAIN[None], syntax=syntax, PixelData=encapsulate([frame])))
    assert np.abs(decoded[0].astype(int) - _PLAIN).max() <= (3 if kind == "jpeg" else 0)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("left", [0.5, 0.99])
def test_a_truncated_jpeg_frame_is_refused(lossless: bool, left: float) -> None:
    """JPEG codecs would silently invent the rest of the image."""
    frame = imagecodecs.jpeg8_encode(_PLAIN, lossless=lossless)
    syntax = JPEGLosslessSV1 if lossless else JPEGBaseline8Bit
    with pytest.raises(PixelError, match="no decoder"):
        decode_frames(image(_PLAIN[None], syntax=syntax, PixelData=encapsulate([frame[: int(left * len(frame)) // 2 * 2]])))


def test_codestream_descriptions() -> None:
    colour = np.zeros((30, 50, 3), np.uint8)
    jpeg = read_codestream(imagecodecs.jpeg8_encode(colour))
    assert jpeg is not None
    assert (jpeg.rows, jpeg.columns, jpeg.samples, jpeg.precision, jpeg.jfif) == (30, 50, 3, 8, True)
    j2k = read_codestream(imagecodecs.jpeg2k_encode(colour.astype(np.int16)[..., 0], level=0, codecformat="J2K"))
    assert j2k is not None
    assert (j2k.rows, j2k.columns, j2k.samples, j2k.precision, j2k.signed) == (30, 50, 1, 16, True)
    assert read_codestream(b"not a codestream") is None
    assert read_codestream(b"\xff\xd8\xff") is None


def test_spec_of_a_file_without_file_meta(data: Path) -> None:
    ds = read_dataset(data / "conformance/pydicom-data/OT-PAL-8-face.dcm", pixels=True)
    assert pixel_spec(ds).transfer_syntax_uid == "1.2.840.10008.1.2"
    with pytest.raises(PixelError, match="no pixel data"):
        decode_frames(read_dataset(io.BytesIO((data / "conformance/pydicom-data/OT-PAL-8-face.dcm").read_bytes())))


def test_unknown_pixel_representation() -> None:
    buffer = io.BytesIO()
    image(np.zeros((1, 4, 4), np.uint8)).save_as(buffer, enforce_file_format=False)
    content = buffer.getvalue().replace(b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x10\x00OG").replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00OG")
    assert b"\x10\x00OG" in content
    with pytest.raises(PixelError, match="PixelData cannot be read: NotImplementedError"):
        decode_frames(read_dataset(io.BytesIO(content), pixels=True))


@pytest.mark.parametrize("offsets", [(64, 16_711_730), (64, 64), (200, 64), (0, 70), (64, 0)])
def test_rle_segments_outside_of_the_frame(offsets: tuple[int, int]) -> None:
    """imagecodecs does not check the offsets, and the process would crash."""
    frame = struct.pack("<16L", 2, *offsets, *[0] * 13) + b"\x81\x00" * 40
    ds = image(np.zeros((1, 4, 4), np.uint16), syntax=RLELossless)
    ds.PixelData = encapsulate([frame])
    with pytest.raises(PixelError):
        decode_frames(ds)
