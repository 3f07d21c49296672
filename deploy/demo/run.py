"""The demo itself: a PACS, the node as a user starts it, real input over DICOM, the reports fetched back and checked."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.errors import NodeError, StorageError
from core.settings import load_settings
from db import audit
from db.base import Database
from deploy.cli.common import plain, say
from deploy.demo import check, config, inputs, show, watch
from deploy.demo.pacs import AE_TITLE, Pacs, choose, free_port
from deploy.demo.sending import send
from deploy.running import running_servers

READY_TIMEOUT_S = 200.0
REPORTS_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked for. ``small``: a quick synthetic input; ``orthanc``: None takes it where it is installed."""

    ct: Path | None = None
    skin: Path | None = None
    synthetic: bool = False
    keep: bool = False
    json_file: Path | None = None
    small: bool = False
    orthanc: bool | None = None


@dataclass(slots=True)
class Story:
    """What happened, for people and for ``--json``."""

    folder: Path
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def tell(self, text: str) -> None:
        say(f"{time.monotonic() - self.started:6.1f} s  {text}")

    def reached(self, name: str) -> None:
        self.seconds[name] = round(time.monotonic() - self.started, 2)


def run(wanted: Wanted) -> int:
    """The exit status: 0 only if every report arrived and validated."""
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-demo-"))
    folder.chmod(0o711)  # embedded PostgreSQL may run as another user, who has to get through
    story = Story(folder)
    say("dicom-node demo. Not for clinical use: the models are of status research.")
    try:
        with ExitStack() as stack:
            _tell_story(wanted, story, stack)
    except NodeError as error:
        story.problems.append(str(error))
    except KeyboardInterrupt:
        story.problems.append("interrupted")
    _finish(wanted, story)
    return 1 if story.problems else 0


def _tell_story(wanted: Wanted, story: Story, stack: ExitStack) -> None:
    scratch = story.folder / "input"
    given = [
        inputs.chest_ct(wanted.ct, scratch, synthetic=wanted.synthetic, small=wanted.small),
        inputs.dermoscopy(wanted.skin, scratch, synthetic=wanted.synthetic, small=wanted.small),
    ]
    show.inputs_line(given)
    story.document["input"] = [
        {"name": item.name, "real": item.real, "source": item.source, "instances": len(item.files)} for item in given
    ]
    story.reached("input")
    pacs = choose(story.folder / "pacs", orthanc=wanted.orthanc)
    pacs.start()
    stack.callback(pacs.stop)
    story.document["pacs"] = pacs.name
    story.tell(f"PACS: {pacs.name}, {AE_TITLE}@127.0.0.1:{pacs.port}")
    node = _Node(story, pacs)
    stack.callback(node.stop)
    node.start()
    units: set[str] = set()
    for item in given:
        units |= item.units
        send(item.files, "127.0.0.1", pacs.port, AE_TITLE)  # the study lies in the PACS, as it would in a hospital
        sent = send(item.files, "127.0.0.1", node.port, config.NODE_AE)
        story.tell(f"sent {item.name}: {sent.instances} instances, {sent.bytes / 1e6:.1f} MB in {sent.seconds:.2f} s")
        story.document.setdefault("sent", []).append({"name": item.name, "instances": sent.instances, "seconds": round(sent.seconds, 3)})
    story.reached("sent")
    _follow(story, node, pacs, units, given)


def _follow(story: Story, node: "_Node", pacs: Pacs, units: set[str], given: list[inputs.Input]) -> None:
    """Wait for the reports, fetch and check them, and show all."""
    servers = running_servers(node.settings.node.data_dir)
    if servers is None:
        raise StorageError("the node ended", hint=f"see {node.logs}")
    database = Database.open(servers.database, pool_size=1)
    try:
        seen, settled = watch.wait(database, units, REPORTS_TIMEOUT_S, story.tell, node.alive)
        story.reached("delivered")
        deadline = time.monotonic() + 5.0
        while (chain := audit.verify(database)).unchained and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        database.dispose()
    found = check.fetch_all(pacs, list(seen.deliveries), story.folder / "reports")
    show.timeline(seen, given)
    show.findings(seen, given)
    show.reports(found, pacs.name)
    say(
        f"\naudit: {chain.chained} events chained, {chain.unchained} not yet, "
        + ("the chain holds" if chain.broken is None else chain.reason)
    )
    if not settled:
        story.problems.append(f"not everything came to an end: {seen.summary(len(units))}; see {node.logs}")
    reported = {row["job_id"] for row in seen.jobs}
    story.problems += [f"report of job {item.job_id}: {problem}" for item in found for problem in item.problems]
    story.problems += [f"job {job} has no report in the PACS" for job in sorted(reported - {item.job_id for item in found})]
    if not reported:
        story.problems.append("no unit was analysed")
    if chain.broken is not None:
        story.problems.append(f"the audit chain is broken at event {chain.broken}")
    story.document |= {
        "jobs": seen.jobs,
        "deliveries": seen.deliveries,
        "findings": seen.findings,
        "reports": [
            {"sop_instance_uid": r.sop_instance_uid, "job_id": r.job_id, "file": r.path, "validators": r.validators, "problems": r.problems}
            for r in found
        ],
        "audit": {"events": chain.events, "chained": chain.chained, "ok": chain.broken is None},
    }


class _Node:
    """`dicom-node up`, as a user starts it, with nothing of the caller's own node in its environment."""

    def __init__(self, story: Story, pacs: Pacs) -> None:
        self.story = story
        self.port = free_port()
        self.path = config.write(story.folder, config.node_toml(self.port, free_port(), pacs))
        self.settings = load_settings(self.path, {})
        self.logs = self.settings.node.data_dir / "logs"
        self._log = story.folder / "up.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Raises StorageError where it does not say that it is ready."""
        command = [sys.executable, "-m", "deploy.cli", "up", "--config", str(self.path), "--log-files"]
        environment = config.isolated(dict(os.environ))
        root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(part for part in (root, environment.get("PYTHONPATH", "")) if part)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        line = self._first_line(self._process)
        if not line.startswith("ready "):
            tail = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise StorageError(f"the node did not start: {' '.join(tail)}", hint=f"see {self._log} and {self.logs}")
        self.story.tell(line)
        self.story.reached("ready")

    def _first_line(self, process: "subprocess.Popen[str]") -> str:
        assert process.stdout is not None
        timer = threading.Timer(READY_TIMEOUT_S, process.terminate)
        timer.start()
        try:
            return process.stdout.readline().strip()
        finally:
            timer.cancel()

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """SIGTERM; it drains."""
        if self._process is None:
            return
        began = time.monotonic()
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGTERM)  # the second one is hard
            status = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if status != 0:
            self.story.problems.append(f"the node ended with status {status}; see {self._log}")
        self.story.seconds["drain"] = round(time.monotonic() - began, 2)


def _finish(wanted: Wanted, story: Story) -> None:
    """Say where things are; take away what nobody asked to keep."""
    failed = bool(story.problems)
    if not (wanted.keep or failed):
        for name in ("data", "pacs", "input", "node.toml", "up.log"):
            path = story.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    story.reached("total")
    if wanted.json_file is not None:
        document = {
            "ok": not failed,
            "problems": story.problems,
            "folder": story.folder,
            "kept": wanted.keep or failed,
            "seconds": story.seconds,
            **story.document,
        }
        wanted.json_file.write_text(json.dumps(plain(document), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    say(f"\nreports:  {story.folder / 'reports'}")
    if wanted.keep or failed:
        say(f"node:     its data and logs are beside {story.folder / 'node.toml'}; start it again with up --config and this file")
    for problem in story.problems:
        say(f"PROBLEM:  {problem}")
    real = [item["real"] for item in story.document.get("input", [])]
    origin = "real" if real and all(real) else "synthetic" if real and not any(real) else "partly synthetic"
    steps = ", ".join(f"{name} {value:.1f} s" for name, value in story.seconds.items())
    say(f"{'FAILED' if failed else 'OK'} on {origin} input ({steps})")
