"""A data set that the node cannot read or keep at the moment is no fault of its sender, who is to try again. Over real sockets."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pynetdicom.association import Association

from core.failpoints import FAILPOINTS, set_watcher
from db.listings.quarantine import list_quarantined
from dicom_node.statuses import OUT_OF_RESOURCES, SUCCESS
from imaging.limits.work_budget import QUICK
from tests.dicom_node.conftest import Running
from tests.fuzz.seed_files import Seed, read_seed
from tests.support.open_files import limited_files
from tests.support.records import rows
from tests.support.series import encoded, image
from tests.support.storage_scu import associated, store_bytes
from tests.support.transcode import transcode

UNREADABLE = OUT_OF_RESOURCES, "out of resources: the file cannot be read"
NOT_PLAIN = {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller"}  # text beyond ASCII is read by pydicom
# A group that cannot be begun is admitted one by one: the sender is told Success.
KEPT_ALL_THE_SAME = {"receive.grouped"}


def with_many_items() -> FileDataset:
    """A slice whose header is read in a child process."""
    made = image(**NOT_PLAIN, ContentSequence=Sequence([Dataset() for _ in range(QUICK.items + 1)]))
    made["ContentSequence"].is_undefined_length = True
    return made


MADE: dict[str, Callable[[], FileDataset]] = {
    "compressed": lambda: transcode(image(), "rle"),  # the end of its pixel data is looked for
    "text beyond ASCII": lambda: image(**NOT_PLAIN),
    "many items": with_many_items,
}


def seed_of(kind: str) -> Seed:
    return read_seed(kind, encoded(MADE[kind]()))


@contextmanager
def at_failpoint(name: str, act: Callable[[], None]) -> Iterator[None]:
    """Within the block ``act`` is called whenever this failpoint is reached."""

    def watch(label: str, _subject: str) -> None:
        if label == name:
            act()

    set_watcher(watch)
    try:
        yield
    finally:
        set_watcher(None)


def store(node: Running, seed: Seed) -> tuple[int, str]:
    """Send it, and return status and error comment of the answer."""
    with associated(node.port, {seed.sop_class: [seed.syntax]}) as association:
        return answer_on(association, seed)


def answer_on(association: Association, seed: Seed) -> tuple[int, str]:
    answer = store_bytes(association, seed.data_set, sop_class=seed.sop_class, sop_instance=seed.sop_instance, syntax=seed.syntax)
    return int(answer.Status), str(answer.ErrorComment)


def assert_stored_the_next_time(node: Running, seed: Seed) -> None:
    """Nothing was quarantined, and the same data set is stored once it is sent again."""
    assert list_quarantined(node.database) == []
    assert store(node, seed)[0] == SUCCESS
    assert list_quarantined(node.database) == []
    assert rows(node.database, "SELECT count(*) FROM instances") == [(1,)]


@pytest.mark.parametrize("kind", MADE)
def test_while_no_file_can_be_opened_the_sender_is_told_to_try_again(kind: str, node: Running) -> None:
    seed = seed_of(kind)
    with (
        associated(node.port, {seed.sop_class: [seed.syntax]}) as association,
        limited_files() as limit,
        at_failpoint("receive.whole", lambda: limit(0)),
    ):
        answer = answer_on(association, seed)
    assert answer == UNREADABLE
    assert_stored_the_next_time(node, seed)


def test_while_the_child_that_reads_a_header_cannot_be_started_the_sender_is_told_to_try_again(node: Running) -> None:
    """The file itself can be opened, and the pipes to the child cannot."""
    seed = seed_of("many items")
    with (
        associated(node.port, {seed.sop_class: [seed.syntax]}) as association,
        limited_files() as limit,
        at_failpoint("receive.whole", lambda: limit(1)),
    ):
        answer = answer_on(association, seed)
    assert answer == UNREADABLE
    assert_stored_the_next_time(node, seed)


@pytest.mark.parametrize("kind", MADE)
def test_a_disk_that_fails_while_a_file_is_read(kind: str, node: Running) -> None:
    """The file can be opened, and reading it gives EIO: so does the memory of a process where nothing is mapped."""

    def damage() -> None:
        (path,) = node.blobs.tmp_dir.iterdir()
        path.unlink()
        path.symlink_to("/proc/self/mem")

    seed = seed_of(kind)
    with at_failpoint("receive.whole", damage):
        assert store(node, seed) == UNREADABLE
    assert_stored_the_next_time(node, seed)


@pytest.mark.parametrize("step", sorted(name for name in FAILPOINTS if name.startswith(("receive.", "blob."))))
def test_a_disk_that_fails_between_the_last_byte_and_the_answer(step: str, node: Running) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    seed = seed_of("compressed")
    with at_failpoint(step, fail):
        status, _ = store(node, seed)
    assert status == (SUCCESS if step in KEPT_ALL_THE_SAME else OUT_OF_RESOURCES)
    assert_stored_the_next_time(node, seed)
