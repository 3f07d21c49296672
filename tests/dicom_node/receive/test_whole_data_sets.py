"""Success is answered for whole data sets only, over real sockets; what was cut is refused, quarantined, audited and counted."""

from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames
from structlog.testing import capture_logs

from core.errors import CannotUnderstand, PixelError
from db import audit, counters
from db.listings.quarantine import list_quarantined
from deploy.demo.synthetic.lesion import lesion_dataset
from dicom_node.receive.intake import Intake
from imaging.frames.frame_file import FrameFile
from imaging.pixels.decode import decode_frames
from imaging.wire.tolerant_parser import read_dataset
from tests.dicom_node.conftest import Running
from tests.fuzz.seed_files import Seed, read_seed
from tests.support.monai_classifiers import drawing
from tests.support.multi_frame import ULTRASOUND_LOOP, as_jpeg, multi_frame
from tests.support.records import rows
from tests.support.send_role import wait_for
from tests.support.series import encoded, image
from tests.support.storage_scu import associated, store_bytes
from tests.support.transcode import transcode

CUTS = 20
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
FRAMES = 4


@cache
def seed_of(kind: str) -> Seed:
    """A photograph, or a CT slice in this transfer syntax."""
    if kind != "photograph":
        return read_seed(kind, encoded(transcode(image(side=64), kind)))
    photograph = BytesIO()
    lesion_dataset(7, size=(96, 128)).save_as(photograph, enforce_file_format=True)
    return read_seed(kind, photograph.getvalue())


def store(node: Running, seed: Seed, data_set: bytes) -> Dataset:
    with associated(node.port, {seed.sop_class: [seed.syntax]}) as association:
        return store_bytes(association, data_set, sop_class=seed.sop_class, sop_instance=seed.sop_instance, syntax=seed.syntax)


# The listener, and what it has stored, are the same for all places of one kind.
@pytest.mark.parametrize("kind", ["photograph", "rle", "jpeg_2000", "explicit", "deflated"])
@settings(max_examples=CUTS, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_data_set_that_was_cut_is_never_answered_success(node: Running, kind: str, data: st.DataObject) -> None:
    seed = seed_of(kind)
    end = len(seed.data_set.removesuffix(DELIMITER))  # without its delimiter alone, an image may be whole: see below
    end -= seed.data_set[-1] == 0 and kind == "deflated"  # a null byte that makes the number of bytes even
    place = data.draw(st.integers(1, end - 1) | st.integers(max(1, end - 100), end - 1), "place of the cut")
    answer = store(node, seed, seed.data_set[:place])
    assert answer.Status == 0xC000
    assert 0 < len(answer.ErrorComment) <= 64
    assert rows(node.database, "SELECT count(*) FROM instances") == [(0,)]


@pytest.mark.parametrize("kind", ["photograph", "rle", "jpeg_2000", "explicit", "deflated"])
def test_the_whole_data_set_is_stored(node: Running, kind: str) -> None:
    assert store(node, seed_of(kind), seed_of(kind).data_set).Status == 0x0000
    assert rows(node.database, "SELECT count(*) FROM instances") == [(1,)]


@pytest.mark.parametrize(("kind", "status"), [("photograph", 0x0000), ("jpeg_2000", 0x0000), ("rle", 0xC000)])
def test_pixel_data_without_their_delimiter(node: Running, kind: str, status: int) -> None:
    """A codestream says itself where it ends; an RLE frame does not."""
    assert store(node, seed_of(kind), seed_of(kind).data_set.removesuffix(DELIMITER)).Status == status
    noted = rows(node.database, "SELECT count(*) FROM instances WHERE 'the pixel data lack their sequence delimiter' = ANY(notes)")
    assert noted == [(int(status == 0),)]


def test_a_cut_photograph_is_quarantined_audited_counted_and_logged_without_its_person(node: Running) -> None:
    seed = seed_of("photograph")
    person = read_dataset(BytesIO(encoded(lesion_dataset(7, size=(96, 128)))))
    with capture_logs() as logged:
        answer = store(node, seed, seed.data_set[:-900])
    assert answer.ErrorComment.startswith("the data set is cut short: it ends within its pixel data")
    (item,) = list_quarantined(node.database)
    assert (item.status, item.sop_instance_uid, item.times) == (0xC000, seed.sop_instance, 1)
    assert item.reason.startswith("the data set is cut short: it ends within its pixel data")
    assert node.blobs.read(item.sha256).endswith(seed.data_set[:-900])
    assert [event["action"] for event in audit.export(node.database) if event["action"].startswith("instance.")] == ["instance.refused"]

    def counted() -> bool:
        with node.database.begin() as connection:
            return counters.read(connection).get("received") == {("not_understood",): 1}

    wait_for(counted)
    (entry,) = [entry for entry in logged if entry["event"] == "instance_refused"]
    assert "cut short" in entry["error"]
    for value in (seed.sop_instance, str(person.PatientName), str(person.PatientID), str(person.StudyInstanceUID)):
        assert value
        assert value not in str(logged)
    with pytest.raises(CannotUnderstand, match="cut short"):
        Intake(node.settings, node.database, node.blobs).readmit(item.id, actor="test")
    assert rows(node.database, "SELECT count(*) FROM instances") == [(0,)]


def stored_file(node: Running, dataset: FileDataset) -> Path:
    """Send it, and return the file of its blob."""
    seed = read_seed("one", encoded(dataset))
    assert store(node, seed, seed.data_set).Status == 0x0000
    ((sha256,),) = rows(node.database, "SELECT sha256 FROM instances")
    return node.blobs.path(str(sha256))


def test_native_pixel_data_that_are_too_short_by_their_own_length_are_stored_and_not_read(node: Running) -> None:
    dataset = image()
    dataset.PixelData = dataset.PixelData[:-100]
    path = stored_file(node, dataset)
    with pytest.raises(PixelError, match="512 bytes of pixel data expected, 412 came"):
        decode_frames(read_dataset(path, pixels=True))


@pytest.mark.parametrize("offset_table", [True, False])
def test_fewer_fragments_than_frames_are_stored_and_not_read(node: Running, offset_table: bool) -> None:
    drawn = np.stack([drawing(number == 1, number, (24, 32)) for number in range(FRAMES)])
    dataset = as_jpeg(multi_frame(drawn, study=8500, sop_class=ULTRASOUND_LOOP, modality="US"))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=FRAMES))[:-1]
    dataset.PixelData = encapsulate(frames, has_bot=offset_table)
    path = stored_file(node, dataset)
    with pytest.raises(PixelError, match=r"4 frames expected, fewer came|4 frames: ValueError .*fewer fragments than frames"):
        decode_frames(read_dataset(path, pixels=True))
    with pytest.raises(PixelError, match=r"4 frames expected, the offset table|4 frames of pixel data expected, 3 fragments came"):
        FrameFile(path)


def test_a_codestream_that_ends_in_a_whole_fragment_is_stored_and_not_read(node: Running) -> None:
    dataset = lesion_dataset(7, size=(96, 128))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    path = stored_file(node, dataset)
    with pytest.raises(PixelError, match="no decoder could read a frame"):
        decode_frames(read_dataset(path, pixels=True))
