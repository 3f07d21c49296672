"""Measures ``lung_nodule_ct`` on the CPU: a series of 300 slices of 1 mm, or real volumes.

make bench SECTION=lung_nodules [ARGS="--data ../shared/data"]

Wall time on all cores, processor time (which other work on the machine hardly affects), and the largest resident memory of the process.
"""

import json
import os
import resource
import time
from pathlib import Path

import numpy as np

from deploy.demo.synthetic.chest import make_chest
from imaging.volume.volume import Volume
from models import runtime
from tests.bench.benchmark import command_line


def main() -> None:
    """Run the benchmark and print the result."""
    parser = command_line(__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--data", type=Path, help="the folder that holds ct-volumes: measure these instead")
    arguments = parser.parse_args()
    model = runtime.load("lung_nodule_ct", device="cpu")
    model.warm_up()
    found = {"cores": len(os.sched_getaffinity(0)), "resident_mb_before": resident_mb()}
    for name, volume in read_real(arguments.data) if arguments.data else [made_up(arguments.slices)]:
        wall, processor, load = time.perf_counter(), time.process_time(), os.getloadavg()[0]
        prediction = model.predict([volume])[0]
        took = {"wall_s": round(time.perf_counter() - wall, 1), "processor_s": round(time.process_time() - processor, 1)}
        print(
            json.dumps(
                {"series": name, "shape": volume.hu.shape, **found, "load": round(load, 1), **took, "resident_mb_at_most": resident_mb(),
                 "findings": len(prediction.findings)}
            ),
            flush=True,
        )  # fmt: skip


def made_up(slices: int) -> tuple[str, Volume]:
    """Return a synthetic chest of slices of 1 mm, 512 x 512 pixels of 0.7 mm."""
    chest = make_chest(1, slices=slices, slice_mm=1.0)
    return "synthetic", as_volume(chest.hu, chest.spacing_mm)


def read_real(data: Path) -> list[tuple[str, Volume]]:
    """Return the real volumes of the data folder."""
    from training.lung_nodule_ct.real.reference_volumes import read_volumes

    return [(one.name, as_volume(one.hu, one.spacing_mm)) for one in read_volumes(data)]


def as_volume(hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Volume:
    """Return a volume at a place of its own."""
    affine = np.diag([spacing_mm[2], spacing_mm[1], spacing_mm[0], 1.0])
    uids = tuple(f"2.25.{number + 1}" for number in range(len(hu)))
    return Volume(hu, affine, spacing_mm, uids, (1,) * len(hu), "2.25.99", ())


def resident_mb() -> int:
    """Return the largest resident memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    main()
