"""``make containers``: builds the images, sends a study through the whole compose file, restarts it, then through the pods of Kubernetes.

Needs root on a machine with podman, buildah and debootstrap, and no image registry. Prints one line a step with its time; exit status 0
only if every step succeeded. ``--keep`` leaves the containers running. docs/containers.md describes the steps.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy import VERSION
from deploy.local.ports import free_port
from tests.containers.deployment import ROLES, Deployment, container, wait_until_ready
from tests.containers.engine import Engine, EngineError, missing_programs
from tests.containers.images import IMAGES, build_images, image_size_mb, make_base_images
from tests.containers.pods import PACS, Pods
from tests.containers.study import TestPacs, make_ct, make_photograph, send_over_published_port, study_uid

CT_TIMEOUT_S, PHOTOGRAPH_TIMEOUT_S = 420.0, 240.0


@contextmanager
def step(name: str, seconds: dict[str, float]) -> Iterator[None]:
    """Time a step and print it."""
    began = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - began, 1)
    print(f"{seconds[name]:7.1f} s  {name}", file=sys.stderr, flush=True)


def main(keep: bool) -> int:
    """Run every step; return the exit status."""
    if missing := missing_programs():
        print(
            f"not installed: {', '.join(missing)}. apt-get install podman buildah runc netavark aardvark-dns iptables catatonit debootstrap"
        )
        return 2
    if os.geteuid() != 0:
        print("this check needs root: debootstrap and bridge networks")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-containers-"))
    port, viewer = free_port(), free_port()
    engine = Engine(folder, {"DICOM_NODE_PUBLISH": str(port), "DICOM_NODE_VIEWER": str(viewer)})
    deployment, seconds = Deployment(engine), dict[str, float]()
    try:
        with step("base images", seconds):
            make_base_images(engine)
        with step("build of both images", seconds):
            build_images(engine, VERSION)
        sizes = {name: image_size_mb(engine, f"localhost/{name}:{VERSION}") for name in IMAGES}
        deployment.prepare()
        try:
            _use(deployment, folder, port, seconds)
        finally:
            if not keep:
                with step("take down", seconds):
                    deployment.take_down()
        pods = Pods(engine)
        try:
            _use_pods(pods, engine, folder, seconds)
        finally:
            if not keep:
                with step("pods: take down", seconds):
                    pods.take_down()
    except (EngineError, OSError) as error:
        print(f"FAILED: {error}\nfolder: {folder}", file=sys.stderr)
        return 1
    too_large = [f"{name} has {sizes[name]} MB, allowed are {limit}" for name, (_, limit) in IMAGES.items() if sizes[name] > limit]
    print(json.dumps({"seconds": seconds, "total_s": round(sum(seconds.values()), 1), "image_mb": sizes, "problems": too_large}, indent=2))
    return 1 if too_large else 0


def _use(deployment: Deployment, folder: Path, port: int, seconds: dict[str, float]) -> None:
    """Start, send, read, sign in, restart."""
    engine = deployment.engine
    with step("start until ready", seconds):
        deployment.start()
    pacs = TestPacs(f"http://{engine.address(container('orthanc'))}:8042")
    pacs.wait(60)
    with step("health checks, hardening", seconds):
        deployment.check_health()
        deployment.check_hardening()
    with step("doctor in the containers", seconds):  # one after the other: a container that starts stops the search for names for a moment
        deployment.doctor("conduct")
        deployment.doctor("worker", "--skip", "destinations", "--skip", "sources")  # it has no network to them
    ct, photograph = make_ct(folder / "ct"), make_photograph(folder, 1)
    studies = [study_uid(ct[0]), study_uid(photograph)]
    pacs.store([photograph])
    with step("photograph, from C-STORE until the first validated report is in Orthanc", seconds):
        send_over_published_port(photograph, port)
        pacs.wait_for_reports(studies[1:], PHOTOGRAPH_TIMEOUT_S)
    with step("CT, the same", seconds):
        pacs.send_to_node(pacs.store(ct))
        reports = pacs.wait_for_reports(studies, CT_TIMEOUT_S)
    print(f"           {', '.join(report.title for report in reports)}", file=sys.stderr)
    with step("sign-in at the console", seconds):
        deployment.sign_in()
    with step("restart of each container until ready and healthy", seconds):
        deployment.restart_each()
        deployment.wait_until_ready()
        deployment.check_health()
    with step("another photograph until its report", seconds):
        pacs = TestPacs(f"http://{engine.address(container('orthanc'))}:8042")
        pacs.wait(60)
        second = make_photograph(folder, 2)
        pacs.send_to_node(pacs.store([second]))
        pacs.wait_for_reports([*studies, study_uid(second)], PHOTOGRAPH_TIMEOUT_S)
    for role in ROLES:
        (folder / f"{role}.log").write_text(deployment.logs(role, 1000))


def _use_pods(pods: Pods, engine: Engine, folder: Path, seconds: dict[str, float]) -> None:
    """Start the pods, and send them the same study."""
    with step("pods: start until ready", seconds):
        pods.start()
        wait_until_ready(lambda: f"http://{pods.address('console')}:8484")
    with step("pods: probes, hardening", seconds):
        pods.check_probes()
        pods.check_hardening()
    ct, photograph = make_ct(folder / "ct-of-pods"), make_photograph(folder, 3)
    pacs = TestPacs(f"http://{engine.address(PACS)}:8042")
    pacs.wait(60)
    with step("pods: CT and photograph until validated reports in the PACS", seconds):
        pacs.send_to_node([*pacs.store(ct), *pacs.store([photograph])])
        pacs.wait_for_reports([study_uid(ct[0]), study_uid(photograph)], CT_TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main("--keep" in sys.argv[1:]))
