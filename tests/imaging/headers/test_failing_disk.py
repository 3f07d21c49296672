"""A disk that fails while a header is read, or a file that cannot be opened then, is an OSError: the file itself may be sound."""

import errno
import io
import os
import struct
from pathlib import Path

import pytest

from imaging.headers.instance_header import header_of, read_header_tolerantly
from imaging.wire.tolerant_parser import read_with_pixel_location
from tests.support.open_files import limited_files
from tests.support.series import encoded, image, image_with_sequences
from tests.support.transcode import transcode

STEP_BYTES = 5  # less than the head of an item, so that the disk fails within each of them
HEAD_BYTES, COMMENT_CHARACTERS = 4096, 3500  # a file begins with one read of the former; the latter lie in front of the sequences
LONG_VALUE_BYTES = 70_000  # such a value stays in the file until it is asked for


class FailingDisk(io.BytesIO):
    """A file whose bytes from ``at`` on cannot be read."""

    def __init__(self, content: bytes, at: int) -> None:
        super().__init__(content)
        self._at = at

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        content = super().read(size)
        if start + len(content) > self._at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return content


@pytest.mark.parametrize("kind", ["sequences", "deflated"])
def test_a_disk_that_fails_anywhere_in_front_of_the_pixel_data(kind: str) -> None:
    made = image_with_sequences(side=4, ImageComments="x" * COMMENT_CHARACTERS)
    content = encoded(made if kind == "sequences" else transcode(image(side=4), "deflated"))
    end = content.index(b"\xe0\x7f\x10\x00") if kind == "sequences" else len(content)
    assert kind == "deflated" or HEAD_BYTES < content.index(b"\xfe\xff\x00\xe0") < end, "the sequences are read on their own"
    assert read_header_tolerantly(FailingDisk(content, len(content))).patient_id == "TEST1"
    for at in (*range(0, min(HEAD_BYTES, end), HEAD_BYTES // 8), *range(HEAD_BYTES, end, STEP_BYTES)):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)) as failed:
            read_header_tolerantly(FailingDisk(content, at))
        assert failed.value.errno == errno.EIO, at


def test_a_long_value_that_cannot_be_read_when_it_is_asked_for(tmp_path: Path) -> None:
    head, value = struct.pack("<HHL", 0x0008, 0x1030, 4), b"MARK"  # Study Description, in Implicit VR
    content = encoded(transcode(image(StudyDescription=value.decode()), "implicit"))
    assert content.count(head + value) == 1
    long_value = struct.pack("<HHL", 0x0008, 0x1030, LONG_VALUE_BYTES) + b"X" * LONG_VALUE_BYTES
    path = tmp_path / "instance.dcm"
    path.write_bytes(content.replace(head + value, long_value))
    dataset, _ = read_with_pixel_location(path)
    with limited_files() as limit:
        limit(0)
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            header_of(dataset, [])
    assert header_of(dataset, []).study_description.startswith("XXX")
