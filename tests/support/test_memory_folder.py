"""The folders in memory of runs that were killed are deleted by the next run, and only those."""

import subprocess
import sys
from pathlib import Path

from tests.support.memory_folder import memory_folder

MAKE_ONE = (
    "import sys; from pathlib import Path; from tests.support.memory_folder import memory_folder; "
    "print(memory_folder(Path(sys.argv[1])), flush=True); sys.stdin.read()"
)


def test_the_folder_of_a_killed_run_is_deleted_and_that_of_a_running_one_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE_ONE, str(tmp_path)]
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        assert killed.stdout is not None
        folders = {process: Path(process.stdout.readline().strip()) for process in (running, killed)}  # type: ignore[union-attr]
        assert all(folder.is_dir() for folder in folders.values())
        killed.kill()
        killed.wait()
        own = memory_folder(tmp_path)
        assert not folders[killed].exists()
        assert folders[running].is_dir()
        assert own.is_dir()
    finally:
        for process in (running, killed):
            process.kill()
            process.communicate()
