"""Waits for the results of what the demo sent, fetches them from the PACS, checks them and prints them."""

import time

from core.counted import counted
from core.errors import StorageError
from core.states import ResultKind
from db import audit
from db.audit import ChainCheck
from db.engine import Database
from deploy.demo import tables
from deploy.demo.inputs import DemoInput
from deploy.demo.node import DemoNode
from deploy.demo.pacs.interface import Pacs
from deploy.demo.pacs.orthanc import Orthanc
from deploy.demo.progress import DemoProgress
from deploy.demo.result_check import FetchedObject, fetch_results
from deploy.demo.snapshot import DemoSnapshot, wait_until_settled
from deploy.demo.viewer.prerequisites import missing_prerequisites
from deploy.local.node_lock import running_servers
from deploy.terminal import print_message

RESULTS_TIMEOUT_S = 600.0
CHAIN_TIMEOUT_S = 5.0


def check_and_print_results(progress: DemoProgress, node: DemoNode, pacs: Pacs, units: set[str], given: list[DemoInput]) -> None:
    """Carry out the last steps of the demo; everything that is wrong becomes one of ``progress.problems``.

    Raises
    ------
    StorageError
        The node does not run any more.
    """
    servers = running_servers(node.settings.node.data_dir)
    if servers is None:
        raise StorageError("the node ended", hint=f"see {node.logs}")
    with Database.open(servers.database, pool_size=1) as database:
        snapshot, settled = wait_until_settled(database, units, RESULTS_TIMEOUT_S, progress.print, node.is_alive)
        progress.finish_step("delivered")
        chain = _verify_audit_chain(database)
    fetched = fetch_results(pacs, list(snapshot.deliveries), progress.folder / "reports")
    tables.print_timeline(snapshot)
    tables.print_findings(snapshot, given)
    tables.print_fetched(fetched, pacs.name)
    _take_screenshots(progress, pacs, snapshot)
    state = "the chain is intact" if chain.broken is None else chain.reason
    print_message(f"\naudit: {counted(chain.chained, 'event')} chained, {chain.unchained} not yet, {state}")
    if not settled:
        progress.problems.append(f"not everything was finished in time: {snapshot.summary(len(units))}; see {node.logs}")
    progress.problems += _problems_of_results(snapshot, fetched)
    if chain.broken is not None:
        progress.problems.append(f"the audit chain is broken at event {chain.broken}")
    progress.document |= {
        "jobs": snapshot.jobs,
        "deliveries": snapshot.deliveries,
        "findings": snapshot.findings,
        "reports": [
            {"kind": item.kind, "job_id": item.job_id, "sop_instance_uid": item.sop_instance_uid, "file": item.path}
            | {"validators": item.validators, "problems": item.problems}
            for item in fetched
        ],
        "audit": {"events": chain.events, "chained": chain.chained, "ok": chain.broken is None},
    }


def _verify_audit_chain(database: Database) -> ChainCheck:
    """Verify the chain, after a short wait for the events that the chainer has not reached yet."""
    deadline = time.monotonic() + CHAIN_TIMEOUT_S
    while (chain := audit.verify(database)).unchained and time.monotonic() < deadline:
        time.sleep(0.1)
    return chain


def _problems_of_results(snapshot: DemoSnapshot, fetched: list[FetchedObject]) -> list[str]:
    problems = [f"{item.kind} of job {item.job_id}: {problem}" for item in fetched for problem in item.problems]
    jobs = {row["job_id"] for row in snapshot.jobs}
    reported = {item.job_id for item in fetched if item.kind == ResultKind.SR}
    problems += [f"the PACS has no report of job {job}" for job in sorted(jobs - reported)]
    return problems if jobs else [*problems, "no unit was analysed"]


def _take_screenshots(progress: DemoProgress, pacs: Pacs, snapshot: DemoSnapshot) -> None:
    """Take screenshots of the results in OHIF. Missing software or a viewer that fails is printed, and is no problem of the node."""
    viewer = progress.document["viewer"] = {"missing": missing_prerequisites(pacs), "pictures": []}
    if viewer["missing"] or not isinstance(pacs, Orthanc):
        print_message(f"\nno screenshots of the viewer; missing: {', '.join(viewer['missing'])}")
        return
    # Imported here because it needs Playwright, which the check above has found.
    from deploy.demo.viewer.screenshots import studies_to_show, take_screenshots

    try:
        taken = take_screenshots(pacs, studies_to_show(snapshot.findings), progress.folder / "viewer")
    except (StorageError, OSError) as error:
        print_message(f"\nno screenshots of the viewer: {error}")
        viewer["missing"] = [str(error)]
        return
    viewer["pictures"] = [str(path) for path in taken]
    print_message("\nOHIF shows the results as:")
    for path in taken:
        print_message(f"  {path}")
    progress.finish_step("viewed")
