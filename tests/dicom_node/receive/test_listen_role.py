"""The role ``listen``: heartbeat, several processes on one port, an unavailable database, malformed real files."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import ConfigurationError
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.receive.associations import reap_associations
from db.roles import heartbeats
from dicom_node.receive import listen_role
from tests.dicom_node.conftest import MakeSettings, Running, database_unavailable
from tests.support.real_data import shared_data
from tests.support.records import rows
from tests.support.send_role import wait_for
from tests.support.series import CT, image
from tests.support.storage_scu import associated, data_set_bytes, entity, send, send_file, store_bytes


@contextmanager
def listening(settings: Settings, database: Database, blobs: Blobs, changes: Sequence[Settings] = ()) -> Iterator[int]:
    stop, ready, ports = threading.Event(), threading.Event(), list[int]()

    def on_ready(_host: str, port: int) -> None:
        ports.append(port)
        ready.set()

    def take_change() -> Settings | None:
        return changes.pop(0) if isinstance(changes, list) and changes else None

    thread = threading.Thread(target=listen_role.run, args=(settings, database, blobs, stop, on_ready, take_change))
    thread.start()
    try:
        assert ready.wait(600)
        yield ports[0]
    finally:
        stop.set()
        thread.join(600)
        assert not thread.is_alive()


def test_the_role_writes_a_heartbeat_and_deletes_it(database: Database, blobs: Blobs, make_settings: MakeSettings) -> None:
    with listening(make_settings(), database, blobs) as port:
        assert send(port, image()) == [0x0000]
        wait_for(
            lambda: [beat.details["port"] for beat in heartbeats.alive_processes(database, 600) if beat.role == "listen"] == [str(port)]
        )
    assert heartbeats.alive_processes(database, 600) == []


def test_a_port_in_use_is_reported(database: Database, blobs: Blobs, make_settings: MakeSettings, node: Running) -> None:
    with pytest.raises(ConfigurationError, match=f"port {node.port} cannot be listened on"):
        listen_role.run(make_settings(node={"port": node.port}), database, blobs, threading.Event())


def test_changed_settings_are_used_by_every_process_and_the_port_stays(
    database: Database, blobs: Blobs, make_settings: MakeSettings
) -> None:
    """A new source may send, a removed one may not, and the association that was open before goes on."""
    changes: list[Settings] = []
    idle = {"network_timeout_s": 3600.0}  # the association waits for the second process, which a busy machine starts in minutes
    before = make_settings(node={"processes": 2}, receive=idle)
    after = make_settings(node={"processes": 2}, receive=idle, sources=[{"ae_title": "SECOND", "host": "127.0.0.1"}])
    contexts = {CT: [str(ExplicitVRLittleEndian)]}

    def accepted(calling: str, port: int) -> bool:
        association = entity(calling, contexts).associate("127.0.0.1", port, ae_title="DICOMNODE")
        if association.is_established:
            association.release()
        return bool(association.is_released)

    with listening(before, database, blobs, changes) as port, associated(port, contexts) as association:
        wait_for(lambda: len({beat.name for beat in heartbeats.alive_processes(database, 600)}) == 2)
        assert not accepted("SECOND", port)
        changes.append(after)
        wait_for(lambda: all(accepted("SECOND", port) for _ in range(12)))  # the kernel chooses the process
        assert not accepted("PACS", port)
        dataset = image()
        answer = store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID)
        assert answer.Status == 0x0000


def test_several_processes_share_the_port(database: Database, blobs: Blobs, make_settings: MakeSettings) -> None:
    with listening(make_settings(node={"processes": 2}), database, blobs) as port:
        wait_for(lambda: len({beat.name for beat in heartbeats.alive_processes(database, 600)}) == 2)
        for number in range(1, 31):
            assert send(port, image(number=number)) == [0x0000]
        assert rows(database, "SELECT count(*) FROM instances") == [(30,)]
        assert rows(database, "SELECT count(DISTINCT listener) FROM associations") == [(2,)]
    wait_for(lambda: rows(database, "SELECT count(*) FROM associations WHERE end_reason IS DISTINCT FROM 'released'") == [(0,)])
    assert heartbeats.alive_processes(database, 600) == []


def test_an_unavailable_database_is_answered_with_out_of_resources(
    node: Running, database: Database, postgres_url: str, blobs: Blobs
) -> None:
    with associated(node.port, {"1.2.840.10008.5.1.4.1.1.2": ["1.2.840.10008.1.2.1"]}) as association:
        assert _store(association, 1) == 0x0000
        with database_unavailable(postgres_url, database):
            assert _store(association, 2) == 0xA700
            assert send(node.port, image(number=3)) == [0xA700]
        assert _store(association, 2) == 0x0000
    assert send(node.port, image(number=3)) == [0x0000]
    assert rows(database, "SELECT count(*) FROM instances") == [(3,)]
    wait_for(lambda: rows(database, "SELECT DISTINCT end_reason FROM associations") == [("released",)])
    assert not list(blobs.tmp_dir.iterdir())


def _store(association: Any, number: int) -> int:
    dataset = image(number=number)
    return int(store_bytes(association, data_set_bytes(dataset), sop_class=CT, sop_instance=dataset.SOPInstanceUID).Status)


def test_a_release_while_the_database_is_unavailable_is_recorded_later(node: Running, database: Database, postgres_url: str) -> None:
    with associated(node.port, {"1.2.840.10008.5.1.4.1.1.2": ["1.2.840.10008.1.2.1"]}) as association:
        assert _store(association, 1) == 0x0000
        with database_unavailable(postgres_url, database):
            association.release()
            time.sleep(0.5)
    wait_for(lambda: rows(database, "SELECT end_reason FROM associations") == [("released",)])


def test_the_lease_of_a_killed_listener_expires(database: Database, database_url: str, blobs: Blobs, tmp_path: Path) -> None:
    script = tmp_path / "listen.py"
    script.write_text(
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from core.settings.settings import Settings\n"
        "from db.engine import Database\n"
        "from db.blobs.store import Blobs\n"
        "from dicom_node.receive.listen_role import run\n"
        "if __name__ == '__main__':\n"
        "    settings = Settings.model_validate({'node': {'port': 0}, 'receive': {'min_free_bytes': 0, 'association_lease_s': 1.0},\n"
        "        'sources': [{'ae_title': 'PACS', 'host': '127.0.0.1'}]})\n"
        "    run(settings, Database.open(sys.argv[1]), Blobs(Path(sys.argv[2])), threading.Event(),\n"
        "        lambda host, port: print(port, flush=True))\n"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, str(script), database_url, str(blobs.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": str(root)}) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline().strip()).isdigit():  # log lines come first
            assert process.poll() is None
        with associated(int(line), {"1.2.840.10008.5.1.4.1.1.2": ["1.2.840.10008.1.2.1"]}) as association:
            assert _store(association, 1) == 0x0000
            process.kill()
    assert rows(database, "SELECT end_reason FROM associations") == [(None,)]
    wait_for(lambda: reap_associations(database) == 1)
    assert rows(database, "SELECT end_reason FROM associations") == [("lost",)]


def files(folder: str) -> list[Path]:
    """Real files of a folder of the conformance data."""
    base = shared_data()
    return sorted(path for path in (base / "conformance" / folder).rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_malformed_files_get_a_status_and_do_not_stop_the_listener(node: Running) -> None:
    found = files("malformed")
    statuses = [send_file(node.port, path, node.blobs) for path in found]
    assert all(status in (0x0000, 0xA900, "context") or (isinstance(status, int) and status & 0xF000 == 0xC000) for status in statuses)
    assert send(node.port, image(study=9)) == [0x0000]
    assert not list(node.blobs.tmp_dir.iterdir())


# Images of which only the header is there.
HEADERS_ONLY = {"chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm"}


# The files are malformed on purpose; pydicom warns about them in this client.
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_every_conformance_file_is_kept_bit_for_bit(node: Running) -> None:
    for folder in ("transfer-syntaxes-cornerstone", "charsets", "pydicom-data", "visible-light-colour"):
        for path in files(folder):
            status = send_file(node.port, path, node.blobs)
            assert status == _expected_status(path), path.name
    assert send(node.port, image(study=9)) == [0x0000]


def _expected_status(path: Path) -> int:
    """Success, unless the file lacks a UID or its pixel data, or contradicts its file meta information."""
    dataset = dcmread(path, force=True, stop_before_pixels=True)
    keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    if not all(dataset.get(keyword) for keyword in keywords) or path.name in HEADERS_ONLY:
        return 0xC000
    meta = dataset.file_meta
    named = (meta.get("MediaStorageSOPClassUID", dataset.SOPClassUID), meta.get("MediaStorageSOPInstanceUID", dataset.SOPInstanceUID))
    return 0x0000 if named == (dataset.SOPClassUID, dataset.SOPInstanceUID) else 0xA900
