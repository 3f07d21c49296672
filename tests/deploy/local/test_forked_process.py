"""A light role is a fork of a process with one thread, with its own session, output and command line."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys, threading
from pathlib import Path
import psutil
from deploy.local import forked_process
folder, broker = Path(sys.argv[1]), {"DICOM_NODE_BROKER__URL": "redis://127.0.0.1:1"}
safe = [forked_process.fork_is_safe()]
refused = forked_process.fork_role(("relay", "--config", str(folder / "none.toml")), {}, folder / "log")
waiting = forked_process.fork_role(("relay", "--config", str(folder / "node.toml")), broker, None)
safe.append(forked_process.fork_is_safe())
found = psutil.Process(waiting.pid)
while "relay" not in found.cmdline():
    pass
words = found.cmdline()[:4]
waiting.send_signal(15)
stop = threading.Event()
thread = threading.Thread(target=stop.wait)
thread.start()
safe.append(forked_process.fork_is_safe())
stop.set()
thread.join()
print(safe, refused.wait(), refused.poll(), waiting.wait() in (0, -15), words)
"""


def test_a_forked_role(tmp_path: Path, database_url: str) -> None:
    (tmp_path / "node.toml").write_text(f'[database]\nurl = "{database_url}"\n')
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[True, True, False] 2 2 True ['python', '-m', 'deploy.cli', 'relay']"
    assert "none.toml cannot be read" in (tmp_path / "log").read_text()
