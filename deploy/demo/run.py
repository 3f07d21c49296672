"""The demo: starts a PACS and the node as a user starts it, sends images over DICOM, and checks the results in the PACS."""

import json
import shutil
import signal
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.counted import counted
from core.errors import NodeError
from deploy.demo import inputs, node_config, tables
from deploy.demo.modality import send_files
from deploy.demo.node import DemoNode
from deploy.demo.open_console import keep_console_open
from deploy.demo.pacs.interface import AE_TITLE
from deploy.demo.pacs.selection import choose_pacs
from deploy.demo.progress import DemoProgress
from deploy.demo.results import check_and_print_results
from deploy.terminal import print_message, to_json_types


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of ``dicom-node demo``, and two for tests.

    Attributes
    ----------
    ct, skin
        Folders of the user's own images.
    synthetic
        Generated images even where real ones are found.
    keep
        Keep the data folder.
    json_file
        Where to write what happened.
    small
        Small synthetic images, which are analysed faster.
    orthanc
        Whether the PACS is Orthanc; None: if it is installed.
    stay
        Keep the node running at the end, with a link to its console, until Ctrl-C.
    """

    ct: Path | None = None
    skin: Path | None = None
    synthetic: bool = False
    keep: bool = False
    json_file: Path | None = None
    small: bool = False
    orthanc: bool | None = None
    stay: bool = False


def run_demo(options: DemoOptions) -> int:
    """Run the demo and return the exit status: 0 only if every result arrived and is valid."""
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-demo-"))
    folder.chmod(0o711)  # the embedded PostgreSQL may run as another user, who needs to reach its data folder
    progress = DemoProgress(folder)
    print_message("dicom-node demo. Not for clinical use: the models are of status research.")
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops the servers as Ctrl-C does
    try:
        with ExitStack() as stack:
            _run_steps(options, progress, stack)
    except NodeError as error:
        progress.problems.append(str(error))
    except KeyboardInterrupt:
        progress.problems.append("interrupted")
    finally:
        signal.signal(signal.SIGTERM, before)
    _finish(options, progress)
    return 1 if progress.problems else 0


def _run_steps(options: DemoOptions, progress: DemoProgress, stack: ExitStack) -> None:
    """Every step up to the checked results. ``stack`` gets what stops the servers that were started."""
    scratch = progress.folder / "input"
    given = [
        inputs.chest_ct(options.ct, scratch, synthetic=options.synthetic, small=options.small),
        inputs.dermoscopy(options.skin, scratch, synthetic=options.synthetic, small=options.small),
    ]
    tables.print_inputs(given)
    progress.document["input"] = [
        {"name": item.name, "real": item.real, "source": item.source, "instances": len(item.files)} for item in given
    ]
    progress.finish_step("input")
    pacs = choose_pacs(progress.folder / "pacs", orthanc=options.orthanc)
    pacs.start()
    stack.callback(pacs.stop)
    progress.document["pacs"] = pacs.name
    progress.print(f"PACS: {pacs.name}, {AE_TITLE}@127.0.0.1:{pacs.port}")
    node = DemoNode(progress, pacs)
    stack.callback(node.stop)
    node.start()
    units: set[str] = set()
    for item in given:
        units |= item.units
        send_files(item.files, "127.0.0.1", pacs.port, AE_TITLE)  # in a hospital the PACS holds the study already
        sent = send_files(item.files, "127.0.0.1", node.port, node_config.NODE_AE)
        progress.print(f"sent {item.name}: {counted(sent.instances, 'instance')}, {sent.bytes / 1e6:.1f} MB in {sent.seconds:.2f} s")
        row = {"name": item.name, "instances": sent.instances, "seconds": round(sent.seconds, 3)}
        progress.document.setdefault("sent", []).append(row)
    progress.finish_step("sent")
    check_and_print_results(progress, node, pacs, units, given)
    if options.stay:
        keep_console_open(node)


def _finish(options: DemoOptions, progress: DemoProgress) -> None:
    """Print where everything is, write ``--json``, and delete the data folder unless it is to be kept or something failed."""
    failed = bool(progress.problems)
    kept = options.keep or failed
    if not kept:
        for name in ("data", "pacs", "input", "node.toml", "up.log"):
            path = progress.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    progress.finish_step("total")
    if options.json_file is not None:
        outcome = {"ok": not failed, "problems": progress.problems, "folder": progress.folder, "kept": kept, "seconds": progress.seconds}
        text = json.dumps(to_json_types(outcome | progress.document), ensure_ascii=False, indent=2)
        options.json_file.write_text(text + "\n", encoding="utf-8")
    print_message(f"\nresults:  {progress.folder / 'reports'}")
    if kept:
        print_message(
            f"node:     its data and logs are in {progress.folder}; start it again with: dicom-node up --config {progress.folder}/node.toml"
        )
    for problem in progress.problems:
        print_message(f"PROBLEM:  {problem}")
    real = [item["real"] for item in progress.document.get("input", [])]
    origin = "real" if real and all(real) else "synthetic" if real and not any(real) else "partly synthetic"
    steps = ", ".join(f"{name} {value:.1f} s" for name, value in progress.seconds.items())
    print_message(f"{'FAILED' if failed else 'OK'} on {origin} input ({steps})")
