"""Measures reading a series to an array: dicom-node, SimpleITK and MONAI, on 99 uncompressed and 248 JPEG Lossless slices.

    make bench SECTION=series

Each run is a process of its own that imports first, then reads once to warm the disk's cache, then is timed; its memory is the peak of
the resident set above what the imports took. The values are compared bit for bit.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from deploy.demo.inputs import CT_SERIES, data_folder
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder

NODE, SITK, MONAI = "dicom-node", "SimpleITK", "MONAI PydicomReader"


def main() -> None:
    """Run the benchmark, or one reader in a process of its own."""
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=2, metavar=("READER", "FOLDER"), help="(used by itself) read a series once, in this process")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one[0], Path(arguments.one[1]))))
        return
    with work_folder("/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        measure(folder, arguments.rounds)


def measure(folder: Path, rounds: int) -> None:
    """Measure all readers and write the section."""
    sets = {"99 slices, uncompressed": uncompressed(folder), "248 slices, JPEG Lossless": lossless(folder)}
    rows, groups = [], {}
    for title, place in sets.items():
        last: dict[str, dict[str, object]] = {}
        readers = [name for name in READERS if name != MONAI or "uncompressed" in title]  # pydicom alone decodes no JPEG Lossless
        runs = paired_runs.run_in_turns({name: partial(timed, name, place, last) for name in readers}, rounds)
        groups[title] = runs
        assert len({str(found["sha256"]) for found in last.values()}) == 1, "the readers disagree in a value"
        for name in readers:
            volume = float(str(last[name]["volume_mib"]))
            ratio = "" if name == NODE else str(paired_runs.median_ratio(runs[NODE], runs[name], better="lower"))
            memory = f"{float(str(last[name]['peak_mib'])) / volume:.2f}"
            rows.append([title, name, paired_runs.format_spread([1000 * one for one in runs[name]]), ratio, memory])
    paired_runs.plot_runs("series", groups, "seconds")
    head = ["series", "reader", "ms: median (least to most)", "dicom-node is so many times faster (95 %)", "peak memory / volume"]
    text = (
        f"## Series to array\n\nA series of files to one array in Hounsfield units, int16, equal bit for bit in all three; "
        f"{rounds} rounds in turns, each read in a process of its own with its files in memory. dicom-node reads and "
        "checks every header (position, orientation, "
        "spacing, identity) before it decodes; peak memory is the resident set above what the imports took.\n\n"
        f"{paired_runs.markdown_table(head, rows)}\n\n"
        f"![series to array](pictures/bench-series.png)\n\n{paired_runs.describe_conditions('make bench SECTION=series')}"
    )
    paired_runs.write_section("series", text)
    print(text)


def timed(reader: str, folder: Path, last: dict[str, dict[str, object]]) -> float:
    """Return the seconds that a reader takes for a series, in a process of its own."""
    command = [sys.executable, __file__, "--one", reader, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    last[reader] = json.loads(done.stdout.splitlines()[-1])
    return float(str(last[reader]["seconds"]))


def one(reader: str, folder: Path) -> dict[str, object]:
    """Run one reader; return its time and memory."""
    import time

    import numpy as np

    paths = sorted(folder.iterdir())
    read = READERS[reader]()
    with tempfile.TemporaryDirectory(dir=folder.parent) as few:
        for path in paths[:4]:
            (Path(few) / path.name).symlink_to(path)
        read(sorted(Path(few).iterdir()))  # imports, pools and tables
    before, _ = _memory(reset=True)
    began = time.perf_counter()
    hu = read(paths)
    seconds = time.perf_counter() - began
    _, peak = _memory()
    assert hu.shape[0] == len(paths)
    assert hu.dtype == np.int16
    return {
        "seconds": seconds,
        "sha256": sha256(np.ascontiguousarray(hu).tobytes()).hexdigest(),
        "volume_mib": hu.nbytes / (1 << 20),
        "peak_mib": peak - before,
    }


def _memory(*, reset: bool = False) -> tuple[float, float]:
    """Return the resident set size now and at its peak, MiB; ``reset`` starts a new peak."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024


def _node() -> Callable[[Sequence[Path]], Any]:
    from imaging.volume.volume import read_volume

    return lambda paths: read_volume(paths, threads=2).hu


def _sitk() -> Callable[[Sequence[Path]], Any]:
    import SimpleITK

    def read(paths: Sequence[Path]) -> Any:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(paths[0].parent)))
        kept.append(reader.Execute())  # the array is a view of it
        found = SimpleITK.GetArrayViewFromImage(kept[-1])
        return found if found.dtype == "int16" else found.astype("int16")

    kept: list[Any] = []
    return read


def _monai() -> Callable[[Sequence[Path]], Any]:
    import numpy as np
    from monai.data import PydicomReader

    def read(paths: Sequence[Path]) -> Any:
        reader = PydicomReader(swap_ij=False)
        found = reader.get_data(reader.read(str(paths[0].parent)))[0]
        return np.moveaxis(found, -1, 0)[::-1].astype(np.int16)  # from the other end

    return read


READERS: dict[str, Callable[[], Callable[[Sequence[Path]], Any]]] = {NODE: _node, SITK: _sitk, MONAI: _monai}


def uncompressed(folder: Path) -> Path:
    """Return the real series if it exists, else a synthetic one of the same size."""
    from pydicom import dcmread

    from deploy.demo.synthetic.chest import make_chest, write_chest

    data = data_folder()
    target = folder / "uncompressed"
    target.mkdir()
    if data is None:
        write_chest(target, make_chest(1, slices=99, size=512, diameters_mm=()))
        return target
    slices = [dcmread(path) for path in (data / "ct" / CT_SERIES).glob("*.dcm")]
    for number, dataset in enumerate(sorted(slices, key=lambda one: float(one.ImagePositionPatient[2]))):
        dataset.save_as(target / f"{number:04d}.dcm")
    return target


def lossless(folder: Path, count: int = 248) -> Path:
    """Return the same slices repeated at positions of their own, as JPEG Lossless (selection value 1)."""
    from pydicom import dcmread

    from deploy.demo.synthetic.uids import synthetic_uid
    from tests.support.transcode import transcode

    sources = sorted((folder / "uncompressed").iterdir())
    target = folder / "lossless"
    target.mkdir()
    packed = [transcode(dcmread(path), "jpeg_lossless_sv1") for path in sources]
    for number in range(count):
        dataset = packed[number % len(packed)]
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, 3.0 * number]
        dataset.InstanceNumber = number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = synthetic_uid("bench", "lossless", number)
        dataset.SeriesInstanceUID = synthetic_uid("bench", "lossless")
        dataset.save_as(target / f"{number:04d}.dcm")
    return target


if __name__ == "__main__":
    main()
