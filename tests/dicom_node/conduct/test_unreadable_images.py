"""Images that cannot be read for a moment decide nothing: their unit waits, is shown, and is routed once they can be read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.errors import ImagesUnreadable, StoreUnavailable
from core.policy.routes.routing import UNREADABLE_NOW
from db.blobs.blob_ref import BlobRef
from db.blobs.open_blobs import open_blobs
from db.blobs.remote.cached_blobs import CachedBlobs
from db.complete.units import count_unreadable_units
from dicom_node.conduct import conductor
from dicom_node.conduct.image_search import lung_evidence
from dicom_node.notify.alert_monitor import UNITS_UNREADABLE, find_conditions
from tests.dicom_node.conduct.test_body_part import BY_IMAGE, silent_chest
from tests.dicom_node.conduct.test_conductor import CHEST, DESTINATIONS, SKIN, received_earlier
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.open_files import limited_files
from tests.support.records import rows, run
from tests.support.seaweed import SeaweedFs
from tests.support.send_role import wait_for
from tests.support.series import DERMOSCOPY, image, series
from tests.support.storage_scu import send

FAILING_DISK = "/proc/self/mem"  # a file that can be opened, and whose bytes give EIO
UNITS = "SELECT state, reason FROM units ORDER BY id"
Conducting = Callable[..., conductor.Conductor]


@pytest.fixture
def conducting(node: Running, make_settings: MakeSettings) -> Iterator[Conducting]:
    """Makes a conductor with these routes, whose steps the test calls."""
    made = []

    def make(*routes: dict[str, Any]) -> conductor.Conductor:
        made.append(conductor.Conductor(make_settings(routes=list(routes), **DESTINATIONS), node.database, node.blobs))
        return made[-1]

    yield make
    for one in made:
        one.close()


def photograph(number: int) -> Any:
    return image(number=number, sop_class=DERMOSCOPY, Modality="DMS")


def receive(node: Running, *datasets: Any) -> None:
    """Send images; return once the listener has closed the association, which lets a unit be checked once more."""
    send(node.port, *datasets)
    wait_for(lambda: rows(node.database, "SELECT count(*) FROM associations WHERE closed_at IS NULL") == [(0,)])


def path_of(node: Running, unit: int, place: int = 0) -> Path:
    """The file of an image of a unit, by its number from the first slice on."""
    found = rows(node.database, f"SELECT sha256 FROM instances WHERE unit_id = {unit} ORDER BY (header->>'instance_number')::int")
    return node.blobs.path(str(found[place][0]))


def replace(path: Path, target: str) -> bytes:
    """Put a link in the place of a file, or nothing; return what the file held."""
    content = path.read_bytes()
    path.unlink()
    if target:
        path.symlink_to(target)
    return content


def restore(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def check_again(node: Running, one: conductor.Conductor) -> None:
    """Check every open unit at once, without its pause."""
    run(node.database, "UPDATE units SET next_check_at = node_now() WHERE state = 'open'")
    one.process_due_units()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (FAILING_DISK, "Input/output error (see the disk that holds node.data_dir; they are read again)"),
        ("x" * 300, "File name too long (see the disk that holds node.data_dir; they are read again)"),  # already its size cannot be read
        ("", "their files are missing (mount the disk that holds node.data_dir, or send the images again; they are read again)"),
    ],
    ids=["read", "stat", "missing"],
)
def test_a_unit_whose_images_cannot_be_read_waits_and_the_others_go_on(
    node: Running, conducting: Conducting, target: str, said: str
) -> None:
    one, reason = conducting(SKIN), f"{UNREADABLE_NOW}: {said}"
    receive(node, photograph(1), photograph(2))
    path = path_of(node, 1)
    content = replace(path, target)
    with capture_logs() as logged:
        for _ in range(3):
            check_again(node, one)
    assert rows(node.database, UNITS) == [("open", reason), ("complete", "")]
    assert rows(node.database, "SELECT unit_id FROM jobs") == [(2,)]
    assert [(line["unit"], line["error"]) for line in logged if line["event"] == "unit_unreadable"] == [(1, reason)]
    assert count_unreadable_units(node.database) == {reason: 1}
    assert find_conditions(node.settings, node.database)[UNITS_UNREADABLE, ""] == {"count": 1}
    restore(path, content)
    check_again(node, one)
    assert rows(node.database, UNITS) == [("complete", "")] * 2
    assert rows(node.database, "SELECT unit_id, state FROM jobs ORDER BY id") == [(2, "queued"), (1, "queued")]
    assert (UNITS_UNREADABLE, "") not in find_conditions(node.settings, node.database)


def test_while_no_file_can_be_opened_a_unit_waits(node: Running, conducting: Conducting) -> None:
    one = conducting(SKIN)
    one.process_due_units()  # what it does every few seconds opens folders
    receive(node, photograph(1))
    with limited_files() as limit:
        limit(0)
        one.process_due_units()
    ((state, reason),) = rows(node.database, UNITS)
    assert (state, "Too many open files" in str(reason)) == ("open", True)
    check_again(node, one)
    assert rows(node.database, UNITS) == [("complete", "")]


def test_a_store_on_another_machine_that_fails_decides_nothing(
    node: Running, make_settings: MakeSettings, seaweed: SeaweedFs, tmp_path: Path
) -> None:
    """Where it has lost the bytes of a unit, the others go on; while it does not answer, everything waits."""
    store = seaweed.section(url="s3://blobs/unreadable", timeout_s=2.0).model_dump()
    blobs = open_blobs(make_settings(store=store))
    assert isinstance(blobs, CachedBlobs)
    one = conductor.Conductor(make_settings(routes=[SKIN], **DESTINATIONS), node.database, blobs)
    receive(node, photograph(1), photograph(2))
    (tmp_path / "other").write_bytes(b"other")
    files = [path_of(node, 1), path_of(node, 2)]
    for path, stored in zip(files, (tmp_path / "other", files[1]), strict=True):
        blobs.store.put(BlobRef(path.name, stored.stat().st_size), stored)
    seaweed.kill()
    with pytest.raises(StoreUnavailable):
        one.process_due_units()
    seaweed.start()
    check_again(node, one)
    (first, second) = rows(node.database, UNITS)
    assert (first[0], "sent other content than blob" in str(first[1]), second) == ("open", True, ("complete", ""))
    blobs.store.put(BlobRef(files[0].name, files[0].stat().st_size), files[0])
    check_again(node, one)
    assert rows(node.database, UNITS) == [("complete", "")] * 2
    one.close()


def test_the_pause_grows_and_is_half_a_minute_at_most(node: Running, conducting: Conducting) -> None:
    one = conducting(SKIN)
    receive(node, photograph(1))
    replace(path_of(node, 1), FAILING_DISK)
    pauses_s = []
    for _ in range(10):
        check_again(node, one)
        ((pause_s,),) = rows(node.database, "SELECT extract(epoch FROM next_check_at - node_now())::float8 FROM units")
        pauses_s.append(float(str(pause_s)))
    assert pauses_s[0] < 0.3
    assert 20 < pauses_s[-1] <= 30


def test_a_file_that_can_be_read_and_is_broken_ends_the_unit(node: Running, conducting: Conducting) -> None:
    one = conducting(SKIN)
    receive(node, photograph(1))
    restore(path_of(node, 1), b"\xff" * 1000)
    one.process_due_units()
    assert rows(node.database, UNITS) == [("complete", "its header cannot be matched with the routes (CannotUnderstand)")]


def test_a_better_series_that_cannot_be_read_is_waited_for_and_not_without_end(node: Running, conducting: Conducting) -> None:
    one = conducting({**CHEST, "per_study": "best"})
    receive(node, *series(3, series=1, thickness=5.0), *series(6, series=2, thickness=1.0))
    for place in range(6):
        replace(path_of(node, 2, place), FAILING_DISK)
    for unit in (1, 2):
        received_earlier(node.database, unit, "1 minute")
    check_again(node, one)
    assert [state for state, _ in rows(node.database, UNITS)] == ["open", "open"]
    run(node.database, "UPDATE units SET opened_at = opened_at - interval '1 day'")
    check_again(node, one)
    (first, second) = rows(node.database, "SELECT state, selected, reason FROM units ORDER BY id")
    assert first[:2] == ("complete", True)
    assert (second[0], str(second[2]).startswith(UNREADABLE_NOW)) == ("open", True)


def test_lungs_are_looked_for_again_once_every_image_can_be_read(node: Running, conducting: Conducting) -> None:
    one = conducting(BY_IMAGE)
    receive(node, *silent_chest())
    received_earlier(node.database, 1, "1 minute")
    path = path_of(node, 1)  # not the image in the middle, whose header is read
    content = replace(path, FAILING_DISK)

    def waits() -> bool:
        check_again(node, one)
        return str(rows(node.database, UNITS)[0][1]).startswith(UNREADABLE_NOW)

    wait_for(waits)
    assert waits()  # and while the search is repeated
    restore(path, content)
    wait_for(lambda: (check_again(node, one), rows(node.database, UNITS))[1] == [("complete", "")])
    assert rows(node.database, "SELECT routes FROM units") == [(["chest"],)]


def test_images_that_retention_has_deleted_are_not_waited_for(node: Running, conducting: Conducting) -> None:
    one = conducting(BY_IMAGE)
    receive(node, *silent_chest())
    received_earlier(node.database, 1, "1 minute")
    path = path_of(node, 1)
    run(node.database, f"UPDATE instances SET removed_at = node_now() WHERE sha256 = '{path.name}'")
    replace(path, "")
    wait_for(lambda: (check_again(node, one), rows(node.database, UNITS))[1] == [("complete", "")])
    assert rows(node.database, "SELECT routes FROM units") == [(["chest"],)]


@pytest.mark.parametrize("target", [FAILING_DISK, ""], ids=["read", "missing"])
def test_a_search_for_lungs_decides_nothing_where_a_file_cannot_be_read(tmp_path: Path, target: str) -> None:
    if target:
        (tmp_path / "image").symlink_to(target)
    with pytest.raises(ImagesUnreadable, match=UNREADABLE_NOW):
        lung_evidence.look_for_lungs([tmp_path / "image"])


def test_a_search_for_lungs_whose_process_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/program")
    with pytest.raises(ImagesUnreadable, match="the process that reads them cannot be started: No such file or directory"):
        lung_evidence.look_for_lungs([Path("a")])


def test_a_disk_that_fails_under_a_mapped_file_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "killed"
    program.write_text("#!/bin/sh\nkill -BUS $$\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    with pytest.raises(ImagesUnreadable, match="the disk does not give their bytes"):
        lung_evidence.look_for_lungs([Path("a")])
