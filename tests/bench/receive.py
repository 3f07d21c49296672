"""Measures the receive rate of dicom-node, Orthanc, DCMTK's storescp and pynetdicom's, with the same files and DCMTK's storescu.

    make bench SECTION=receive ARGS="--rounds 5 --associations 1 8"

dicom-node answers when the bytes and the row are on disk. Orthanc by default waits for the bytes (one fdatasync) and not for its index
(SQLite, WAL, synchronous=NORMAL), as strace shows; with its index in PostgreSQL (Debian's orthanc-postgresql, where that is installed) for
both. The two storescp wait for neither.
TCP_NODELAY=1 is set for every process: without it storescp waits for Nagle's algorithm (22/s instead of 1,200/s).

The files to send are in memory. On a disk, the input of the next run would replace that of the last one, and every new file would cost a
search: ext4 does not reuse the inode of a file that was deleted within the last minutes, and tests each (find_inode_bit,
recently_deleted: a quarter of the listener's processor time). For the same reason nothing is deleted before the end, and the results are
not reliable when many files were deleted on that disk within five minutes.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import UID

from deploy.demo.inputs import CT_SERIES, data_folder
from deploy.demo.synthetic.chest import make_chest, write_chest
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.receive_targets import POSTGRESQL, Target, node, orthanc, orthanc_postgresql, pynetdicom_storescp, storescp
from tests.support.memory_folder import memory_folder

TargetFactory = Callable[[Path], AbstractContextManager[Target]]
OURS = ("dicom-node", "dicom-node, 2 processes")
DURABLE = (
    "bytes and row on disk before Success. Orthanc by default waits for its bytes (fdatasync) and not for its index (SQLite, "
    "synchronous=NORMAL); with its index in PostgreSQL it waits for both. DCMTK's and pynetdicom's storescp wait for neither"
)


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=paired_runs.MEASUREMENTS)
    parser.add_argument("--instances", type=int, default=960, help="of a run, over all associations")
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for program in ("/usr/bin/storescu", "/usr/bin/storescp"):
        if not Path(program).exists():
            raise SystemExit(f"{program} is missing: apt-get install dcmtk")
    os.environ["TCP_NODELAY"] = "1"
    with work_folder() as folder:
        found = measure(folder, arguments.instances, arguments.associations, arguments.rounds)
    text = describe(found, arguments.instances)
    if arguments.write:
        groups = {f"{number} association{'s' if number > 1 else ''}": runs for number, runs in found.items()}
        text += f"\n\n![Receive rates](pictures/{paired_runs.plot_runs('receive', groups, 'instances of 0.53 MB per second').name})"
    options = f"--instances {arguments.instances} --rounds {arguments.rounds}"
    report(arguments, "receive", "## Receive", text, options, page=paired_runs.MEASUREMENTS)


def measure(folder: Path, instances: int, associations: list[int], rounds: int) -> dict[int, paired_runs.Runs]:
    """Return rates by number of associations. All targets run all the time; one at a time receives."""
    templates = read_templates(folder / "source")
    peers: dict[str, TargetFactory] = {
        OURS[0]: lambda place: node(place, 1),
        OURS[1]: lambda place: node(place, 2),
        "Orthanc": orthanc,
        **({"Orthanc, index in PostgreSQL": orthanc_postgresql} if POSTGRESQL.is_file() else {}),
        "DCMTK storescp": storescp,
        "pynetdicom storescp": pynetdicom_storescp,
    }
    with ExitStack() as stack:
        targets = {}
        for number, (name, peer) in enumerate(peers.items()):
            place = folder / str(number)
            place.mkdir(mode=0o755)
            targets[name] = stack.enter_context(peer(place))

        def run(target: Target, number: int) -> float:
            sent = memory_folder()
            try:
                sets = make_copies(templates, sent, instances // number, number)
                os.sync()  # writes what the others left in the page cache
                seconds = store(sets, target)
            finally:
                shutil.rmtree(sent)
            return number * (instances // number) / seconds

        return {
            number: paired_runs.run_in_turns({name: lambda t=target, n=number: run(t, n) for name, target in targets.items()}, rounds)  # type: ignore[misc]
            for number in associations
        }


def describe(found: dict[int, paired_runs.Runs], instances: int) -> str:
    """Return the section."""
    lines = [f"{instances} CT slices of 0.53 MB a run, {DURABLE}.", ""]
    for number, runs in found.items():
        head = [f"{number} association{'s' if number > 1 else ''}", "instances/s: median (range)", *(f"{ours} / it" for ours in OURS)]
        rows = [
            [
                name,
                paired_runs.format_spread(figures),
                *("" if name in OURS else paired_runs.median_ratio(runs[ours], figures, better="higher") for ours in OURS),
            ]
            for name, figures in runs.items()
        ]
        lines += [paired_runs.markdown_table(head, rows), ""]
    return "\n".join(lines).strip()


def read_templates(folder: Path) -> list[tuple[bytes, str, str]]:
    """Return slices of the real series, or of a synthetic chest, as (file, SOP instance UID, series UID), with UIDs of equal length."""
    data = data_folder()
    if data is not None and (data / "ct" / CT_SERIES).is_dir():
        sources = sorted((data / "ct" / CT_SERIES).glob("*.dcm"))
    else:
        sources = write_chest(folder, make_chest(1, slices=60, diameters_mm=()))
    found = []
    folder.mkdir(exist_ok=True)
    for index, source in enumerate(sources):
        dataset = dcmread(source)
        sop, series = f"2.25.1{index:037d}", f"2.25.2{0:037d}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(sop)
        dataset.SeriesInstanceUID = UID(series)
        dataset.save_as(folder / "one.dcm")
        found.append(((folder / "one.dcm").read_bytes(), sop, series))
    return found


_series_made = 0


def make_copies(templates: list[tuple[bytes, str, str]], folder: Path, instances: int, sets: int) -> list[Path]:
    """Write new instances for one run: one folder and one series for each association."""
    global _series_made
    folders = []
    for number in range(sets):
        _series_made += 1
        target = folder / f"set{number}"
        target.mkdir(parents=True)
        folders.append(target)
        for index in range(instances):
            content, sop, series = templates[index % len(templates)]
            content = content.replace(sop.encode(), f"2.25.1{_series_made * 100_000 + index:037d}".encode())
            (target / f"{index:05d}.dcm").write_bytes(content.replace(series.encode(), f"2.25.2{_series_made:037d}".encode()))
    return folders


def store(folders: list[Path], target: Target) -> float:
    """Return the seconds until every storescu has its last response."""
    title, port = target
    commands = [["/usr/bin/storescu", "-aet", "BENCH", "-aec", title, "+sd", "127.0.0.1", str(port), str(folder)] for folder in folders]
    began = time.monotonic()
    senders = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands]
    for sender in senders:
        _, errors = sender.communicate()
        if sender.returncode != 0:
            raise SystemExit(f"storescu failed against {title}: {errors.decode(errors='replace')[-500:]}")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
