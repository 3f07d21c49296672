"""Loss of information is read from the codestream: in every compressed syntax that may be lossy, and in files whose header is silent."""

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from imaging.pixels.codestream import read_codestream
from imaging.pixels.lossy_compression import found_compression
from imaging.volume.volume import read_volume
from imaging.wire.tolerant_parser import read_with_pixel_location
from workers.encode.source_images.compression import read_lossy_compression

GREY = (np.add.outer(np.arange(64), np.arange(64)) * 16).astype(np.uint16)
EIGHT = (GREY >> 4).astype(np.uint8)


def jpeg_2000(**options: object) -> Callable[[], bytes]:
    return lambda: imagecodecs.jpeg2k_encode(GREY, codecformat="J2K", **options)


FRAMES: dict[str, tuple[str, bool, Callable[[], bytes]]] = {  # the last digits of the transfer syntax, loss, and the frame
    "baseline": ("50", True, lambda: imagecodecs.jpeg8_encode(EIGHT)),
    "JPEG lossless": ("70", False, lambda: imagecodecs.jpeg8_encode(EIGHT, lossless=True)),
    "JPEG-LS": ("81", False, lambda: imagecodecs.jpegls_encode(GREY)),
    "near-lossless": ("81", True, lambda: imagecodecs.jpegls_encode(GREY, level=2)),
    "reversible": ("91", False, jpeg_2000(level=0, reversible=True)),
    "irreversible": ("91", True, jpeg_2000(level=40, reversible=False)),
    "high throughput": ("203", True, jpeg_2000(level=40, reversible=False)),
}
METHODS = {"50": "ISO_10918_1", "81": "ISO_14495_1", "91": "ISO_15444_1", "203": "ISO_15444_15"}


@pytest.mark.parametrize("name", FRAMES)
def test_the_codestream_tells_loss(name: str) -> None:
    _, lossy, make = FRAMES[name]
    stream = read_codestream(make())
    assert stream is not None
    assert stream.lossy is lossy


@pytest.mark.parametrize("name", FRAMES)
def test_a_silent_header_is_completed_from_the_codestream(series: list[Path], name: str) -> None:
    digits, lossy, make = FRAMES[name]
    frame = make()
    ds = dcmread(series[0])
    ds.file_meta.TransferSyntaxUID = UID(f"1.2.840.10008.1.2.4.{digits}")
    ds.Rows = ds.Columns = 64
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds.save_as(series[0], enforce_file_format=True)
    found = read_lossy_compression(series[0])
    assert found == found_compression(series[0], *read_with_pixel_location(series[0]))
    if not lossy:
        assert len(found) == 0
        return
    assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == ("01", METHODS[digits])
    assert float(found.LossyImageCompressionRatio) == pytest.approx(
        64 * 64 * 2 / len(frame), rel=0.2
    )  # the items of the frame take 24 bytes


def test_a_series_says_that_it_was_compressed_with_loss(series: list[Path]) -> None:
    note = "the images were compressed with loss"
    assert note not in read_volume(series).notes
    ds = dcmread(series[3])
    pixels = ds.pixel_array
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.91")
    ds.PixelData = encapsulate([imagecodecs.jpeg2k_encode(pixels, codecformat="J2K", level=60, reversible=False)])
    ds["PixelData"].VR = "OB"
    ds.save_as(series[3], enforce_file_format=True)
    assert note in read_volume(series).notes


def test_real_files_whose_header_is_silent(data: Path) -> None:
    lossy = read_lossy_compression(data / "conformance/pydicom-data/HTJ2K_08_RGB.dcm")
    assert (lossy.LossyImageCompression, lossy.LossyImageCompressionMethod) == ("01", "ISO_15444_15")
    phantom = sorted((data / "ct/fda-phantom-nodulelayout2-j2k-every4th-REPAIRED").glob("*.dcm"))[0]
    assert len(read_lossy_compression(phantom)) == 0  # JPEG 2000 that may be lossy, and is not
