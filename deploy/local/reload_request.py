"""Asks a running node to read its configuration again, and waits for its answer.

The node is asked with SIGHUP. It answers in ``data_dir/run/reload.json``, which also serves for a SIGHUP that a person sends.
"""

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import ConfigurationError, NodeError
from deploy.local.node_lock import running_servers

ANSWER_TIMEOUT_S = 60.0
_POLL_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class ReloadAnswer:
    """What became of a request.

    Attributes
    ----------
    number
        Counts the answers of one node.
    changed, restart
        Names of the settings that are in use now, and of those that need a restart.
    error
        Why nothing changed; empty where the file is right.
    """

    number: int
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    error: str = ""


def answer_file(data_dir: Path) -> Path:
    """Return the file with the last answer of the node in ``data_dir``."""
    return data_dir / "run" / "reload.json"


def write_answer(data_dir: Path, answer: ReloadAnswer) -> None:
    """Write the answer, complete or not at all."""
    path = answer_file(data_dir)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(answer)))
    fresh.replace(path)


def read_answer(data_dir: Path) -> ReloadAnswer:
    """Return the last answer; number 0 where there is none, or a power failure has left an empty file."""
    try:
        found = json.loads(answer_file(data_dir).read_text())
    except (FileNotFoundError, ValueError):
        return ReloadAnswer(0)
    return ReloadAnswer(found["number"], tuple(found["changed"]), tuple(found["restart"]), found["error"])


def request_reload(data_dir: Path) -> ReloadAnswer:
    """Ask the node that runs in ``data_dir``, and return its answer.

    Raises
    ------
    ConfigurationError
        No node runs there, it belongs to another user, or the file is wrong; nothing has changed.
    NodeError
        The node does not answer.
    """
    if running_servers(data_dir) is None:
        hint = (
            "name its configuration with --config FILE; roles that run alone: SIGHUP to listen, conduct, send and console, restart worker"
        )
        raise ConfigurationError(f"no node runs in {data_dir.absolute()}", hint=hint)
    pid = int((data_dir / "run" / "node.lock").read_text())
    before = read_answer(data_dir).number
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError as error:
        raise ConfigurationError(f"the node (process {pid}) belongs to another user", hint="run the command as that user") from error
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while time.monotonic() < deadline:
        answer = read_answer(data_dir)
        if answer.number > before:
            if answer.error:
                raise ConfigurationError(f"nothing was changed: {answer.error}")
            return answer
        time.sleep(_POLL_INTERVAL_S)
    raise NodeError(f"the node (process {pid}) does not answer within {ANSWER_TIMEOUT_S:.0f} s", hint="see its log")
