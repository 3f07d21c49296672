"""Instances that retention has deleted are not committed, and are committed again once they are received again."""

import pytest

from db.blobs import removals
from db.commitment import source_requests
from db.commitment.source_requests import SourceRequest
from dicom_node.commitment.datasets import NO_SUCH_INSTANCE
from dicom_node.commitment.instance_check import check_instances
from tests.dicom_node.conftest import Running
from tests.support.records import rows, run
from tests.support.series import CT, image
from tests.support.storage_scu import send

pytestmark = pytest.mark.services


def _check(node: Running, uid: str) -> tuple[int, tuple[int, ...]]:
    found = check_instances(node.database, node.blobs, SourceRequest(1, "PACS", "1.9", ((CT, uid),), 1))
    return len(found.held), tuple(reason for *_, reason in found.failed)


def test_deleted_instances_are_not_held_until_they_are_received_again(node: Running) -> None:
    one = image()
    uid = str(one.SOPInstanceUID)
    assert send(node.port, one) == [0]
    assert _check(node, uid) == (1, ())
    ((sha256, size),) = rows(node.database, "SELECT sha256, size_bytes FROM instances")
    run(node.database, "UPDATE instances SET removed_at = node_now()")
    with node.database.begin() as connection:
        removals.request_removals(connection, [(str(sha256), int(str(size)))])
    assert removals.remove_blobs(node.database, node.blobs) == size
    assert _check(node, uid) == (0, (NO_SUCH_INSTANCE,))
    assert send(node.port, one) == [0]
    assert node.blobs.path(str(sha256)).is_file()
    assert _check(node, uid) == (1, ())
    assert rows(node.database, "SELECT removed_at, duplicates FROM instances") == [(None, 1)]
    assert len(source_requests.indexed_contents(node.database, [uid])) == 1
