"""kill -9 of the listener during a group commit: acknowledged instances are stored, stored ones are complete, others are sent again."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from tests.dicom_node.conftest import MakeSettings, Running
from tests.support.series import CT, encoded, image
from tests.support.storage_scu import associated, send, store_bytes

LISTEN = """
import os, signal, sys, threading
from pathlib import Path
from core.settings.settings import Settings
from core.failpoints import set_watcher
from db.engine import Database
from db.blobs.store import Blobs
from dicom_node.receive.listen_role import run

left = threading.Semaphore(int(sys.argv[4]))

def kill_at_label(label, _subject):
    if label == sys.argv[3] and not left.acquire(blocking=False):
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    settings = Settings.model_validate({"node": {"port": 0}, "receive": {"min_free_bytes": 0},
                                        "sources": [{"ae_title": "PACS", "host": "127.0.0.1"}]})
    set_watcher(kill_at_label)
    run(settings, Database.open(sys.argv[1]), Blobs(Path(sys.argv[2])), threading.Event(), lambda host, port: print(port, flush=True))
"""
ASSOCIATIONS, EACH, BEFORE_THE_KILL = 4, 10, 12


def stream(port: int, study: int) -> list[str]:
    """SOP Instance UIDs that were acknowledged before the listener was killed."""
    taken = []
    try:
        with associated(port, {CT: ["1.2.840.10008.1.2.1"]}) as association:
            for number in range(EACH):
                one = image(study=study, number=number)
                content = encoded(one)
                raw = content[144 + int.from_bytes(content[140:144], "little") :]
                answer = store_bytes(association, raw, sop_class=CT, sop_instance=str(one.SOPInstanceUID))
                if answer.get("Status") != 0x0000:
                    break
                taken.append(str(one.SOPInstanceUID))
            association.abort()
    except (RuntimeError, OSError, AssertionError):
        pass  # it was killed
    return taken


@pytest.mark.parametrize("label", ["blob.linked", "receive.grouped", "blob.fsynced", "receive.synced", "receive.committed"])
def test_killed_between_the_bytes_and_the_answer(
    label: str, database: Database, database_url: str, blobs: Blobs, tmp_path: Path,
    start: Callable[[Settings], Running], make_settings: MakeSettings,
) -> None:  # fmt: skip
    script, root = tmp_path / "listen.py", Path(__file__).parents[3]
    script.write_text(LISTEN)
    command = [sys.executable, str(script), database_url, str(blobs.root), label, str(BEFORE_THE_KILL)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env={"PYTHONPATH": str(root)}) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline().strip()).isdigit():  # log lines come first
            assert process.poll() is None
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            acknowledged = [uid for some in pool.map(lambda study: stream(int(line), study), range(1, 1 + ASSOCIATIONS)) for uid in some]
        assert process.wait(600) == -9
    assert 0 < len(acknowledged) < ASSOCIATIONS * EACH

    def held() -> dict[str, Any]:
        with database.begin() as connection:
            return {row[0]: row[1] for row in connection.exec_driver_sql("SELECT sop_instance_uid, sha256 FROM instances")}

    rows = held()
    assert set(acknowledged) <= set(rows)  # nothing is lost
    for sha256 in rows.values():
        blobs.read(sha256)  # no row without its bytes; `read` verifies their hash

    node = start(make_settings())
    for study in range(1, 1 + ASSOCIATIONS):
        assert send(node.port, *(image(study=study, number=number) for number in range(EACH))) == [0x0000] * EACH
    again = held()
    assert len(again) == ASSOCIATIONS * EACH  # nothing is stored twice
    assert rows.items() <= again.items()
    with database.begin() as connection:
        assert connection.exec_driver_sql("SELECT sum(held) FROM units").scalar_one() == ASSOCIATIONS * EACH
