"""The demo itself: a PACS, the node as a user starts it, real input over DICOM, the reports fetched back and checked."""

import json
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.errors import NodeError, StorageError
from core.states import ReportKind
from db import audit
from db.engine import Database
from deploy.cli.common import plain, say
from deploy.demo import check_results, config, inputs, outcomes, tables
from deploy.demo.modality import send
from deploy.demo.node import StartedNode
from deploy.demo.pacs import AE_TITLE, Orthanc, Pacs, choose
from deploy.demo.progress import Story
from deploy.demo.viewer import pictures
from deploy.local.node_lock import running_servers

REPORTS_TIMEOUT_S = 240.0


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


def run(wanted: Wanted) -> int:
    """The exit status: 0 only if every report arrived and validated."""
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-demo-"))
    folder.chmod(0o711)  # embedded PostgreSQL may run as another user, who has to get through
    story = Story(folder)
    say("dicom-node demo. Not for clinical use: the models are of status research.")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing of ours stays behind
    try:
        with ExitStack() as stack:
            _tell_story(wanted, story, stack)
    except NodeError as error:
        story.problems.append(str(error))
    except KeyboardInterrupt:
        story.problems.append("interrupted")
    finally:
        signal.signal(signal.SIGTERM, before)
    _finish(wanted, story)
    return 1 if story.problems else 0


def _tell_story(wanted: Wanted, story: Story, stack: ExitStack) -> None:
    scratch = story.folder / "input"
    given = [
        inputs.chest_ct(wanted.ct, scratch, synthetic=wanted.synthetic, small=wanted.small),
        inputs.dermoscopy(wanted.skin, scratch, synthetic=wanted.synthetic, small=wanted.small),
    ]
    tables.inputs_line(given)
    story.document["input"] = [
        {"name": item.name, "real": item.real, "source": item.source, "instances": len(item.files)} for item in given
    ]
    story.reached("input")
    pacs = choose(story.folder / "pacs", orthanc=wanted.orthanc)
    pacs.start()
    stack.callback(pacs.stop)
    story.document["pacs"] = pacs.name
    story.tell(f"PACS: {pacs.name}, {AE_TITLE}@127.0.0.1:{pacs.port}")
    node = StartedNode(story, pacs)
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


def _follow(story: Story, node: StartedNode, pacs: Pacs, units: set[str], given: list[inputs.Input]) -> None:
    """Wait for the reports, fetch and check them, and show all."""
    servers = running_servers(node.settings.node.data_dir)
    if servers is None:
        raise StorageError("the node ended", hint=f"see {node.logs}")
    database = Database.open(servers.database, pool_size=1)
    try:
        seen, settled = outcomes.wait(database, units, REPORTS_TIMEOUT_S, story.tell, node.alive)
        story.reached("delivered")
        deadline = time.monotonic() + 5.0
        while (chain := audit.verify(database)).unchained and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        database.dispose()
    found = check_results.fetch_all(pacs, list(seen.deliveries), story.folder / "reports")
    tables.timeline(seen, given)
    tables.findings(seen, given)
    tables.reports(found, pacs.name)
    _look(story, pacs, seen)
    say(
        f"\naudit: {chain.chained} events chained, {chain.unchained} not yet, "
        + ("the chain holds" if chain.broken is None else chain.reason)
    )
    if not settled:
        story.problems.append(f"not everything came to an end: {seen.summary(len(units))}; see {node.logs}")
    reported = {row["job_id"] for row in seen.jobs}
    story.problems += [f"{item.kind} of job {item.job_id}: {problem}" for item in found for problem in item.problems]
    there = {item.job_id for item in found if item.kind == ReportKind.SR}
    story.problems += [f"job {job} has no report in the PACS" for job in sorted(reported - there)]
    if not reported:
        story.problems.append("no unit was analysed")
    if chain.broken is not None:
        story.problems.append(f"the audit chain is broken at event {chain.broken}")
    story.document |= {
        "jobs": seen.jobs,
        "deliveries": seen.deliveries,
        "findings": seen.findings,
        "reports": [
            {"kind": r.kind, "job_id": r.job_id, "sop_instance_uid": r.sop_instance_uid, "file": r.path}
            | {"validators": r.validators, "problems": r.problems}
            for r in found
        ],
        "audit": {"events": chain.events, "chained": chain.chained, "ok": chain.broken is None},
    }


def _look(story: Story, pacs: Pacs, seen: outcomes.Seen) -> None:
    """Pictures of the results in OHIF; where it cannot be, the reason, which is no problem of the node."""
    lacking, studies = pictures.missing(pacs), pictures.chosen(seen.findings)
    story.document["viewer"] = {"missing": lacking, "pictures": []}
    if lacking or not isinstance(pacs, Orthanc):
        say(f"\nno picture of the viewer, for want of: {', '.join(lacking)}")
        return
    try:
        story.document["viewer"]["pictures"] = taken = pictures.pictures(pacs, studies, story.folder / "viewer")
    except (StorageError, OSError) as error:
        say(f"\nno picture of the viewer: {error}")
        story.document["viewer"]["missing"] = [str(error)]
        return
    say("\nOHIF shows the results as:")
    for path in taken:
        say(f"  {path}")
    story.reached("viewed")


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
