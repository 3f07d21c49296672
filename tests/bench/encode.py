"""Measures the encoding of a result: SR and SEG of a study of 300 slices with 5 nodules, encoded, validated and written to disk.

make bench SECTION=encode
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from uuid import uuid4

import numpy as np

from core.records import Prediction, UnitInput
from core.states import Outcome, Priority, ResultKind, UnitKind
from db.blobs.store import Blobs
from db.jobs.job_records import ClaimedJob, StoredObject
from imaging.masks import pack_mask
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder
from tests.bench.highdicom_encoder import HighdicomEncoder
from tests.support.analyses import LOOKED_FOR, ct, nodule, volume
from workers.encode.analysis import Analysis
from workers.encode.objects import segmentation as objects_segmentation
from workers.encode.sr import document
from workers.encode.validate.validator import validate
from workers.results.pipeline import store_result_objects
from workers.results.recipients import Recipients

SLICES, SIDE, NODULES, AIM_MS = 300, 512, 5, 400
HEAD = ["step", "ms: median (least to most)", "of processor, ms"]
BESIDE = ["segmentation and report", "ms: median (least to most)", "dicom-node is so many times faster (95 %)"]
OURS, PEER = "dicom-node", "highdicom"
PROFILE = {"pacs": frozenset({ResultKind.SR, ResultKind.SEG})}


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    analysis, job = study(), claimed()
    steps: dict[str, list[tuple[float, float]]] = {}
    with work_folder() as folder:
        for number in range(arguments.rounds + 1):
            blobs = Blobs(folder / str(number))  # nothing is there yet: every object is written
            took = {
                "all: encode, validate, keep": seconds(
                    lambda blobs=blobs: checked(store_result_objects(job, analysis, Recipients(("pacs",), profiles=PROFILE), blobs))
                )
            }
            segmentation = objects_segmentation.encode(analysis)
            assert segmentation is not None
            report = document.encode(analysis)
            took["the segmentation alone"] = seconds(lambda: objects_segmentation.encode(analysis))
            took["validating it"] = seconds(lambda one=segmentation: validate(one.content))
            took["the report alone"] = seconds(lambda: document.encode(analysis))
            took["validating it, too"] = seconds(lambda one=report: validate(one.content))
            took["keeping both on disk"] = seconds(
                lambda blobs=blobs, two=(segmentation, report): [blobs.put(one.content + b"\0\0") for one in two]
            )
            for name, figure in took.items() if number else ():
                steps.setdefault(name, []).append(figure)
    beside = paired_runs.run_in_turns({OURS: lambda: seconds(lambda: both(analysis))[0], PEER: peer(analysis)}, arguments.rounds)
    wall, processor = (1000 * median(figure[which] for figure in next(iter(steps.values()))) for which in (0, 1))
    rows = [
        [name, *(paired_runs.format_spread([1000 * one[which] for one in figures]) for which in (0, 1))] for name, figures in steps.items()
    ]
    text = (
        f"## A result into its objects\n\nSR and SEG of a study of {SLICES} slices of {SIDE} x {SIDE} with {NODULES} nodules "
        f"(segmented on {segmented(analysis)} frames), {arguments.rounds} rounds. The aim is {AIM_MS} ms at most: "
        f"{verdict(wall)} by the clock, with what else the machine does, and {verdict(processor)} in the processor's time. A result is two "
        f"reports: one that names the segmentation, and one without it, kept for the case that the segmentation is refused.\n\n"
        f"{paired_runs.markdown_table(HEAD, rows)}\n\nHow long both files take to be made, beside highdicom's own documents "
        f"from the same segments, ready content tree and images, in turns:\n\n"
        f"{paired_runs.markdown_table(BESIDE, compared(beside))}\n\n{paired_runs.describe_conditions('make bench SECTION=encode')}"
    )
    paired_runs.write_section("encode", text)
    print(text)


def both(analysis: Analysis) -> None:
    """Encode segmentation and report."""
    objects_segmentation.encode(analysis)
    document.encode(analysis)


def peer(analysis: Analysis) -> Callable[[], float]:
    """Return a function that measures highdicom."""
    prepared = HighdicomEncoder(analysis)
    return lambda: seconds(prepared.encode)[0]


def compared(runs: paired_runs.Runs) -> list[list[object]]:
    """Return the rows of the comparison."""
    return [
        [
            name,
            paired_runs.format_spread([1000 * one for one in figures]),
            "" if name == OURS else paired_runs.median_ratio(runs[OURS], figures, better="lower"),
        ]
        for name, figures in runs.items()
    ]


def verdict(ms: float) -> str:
    """Return whether a time reaches the aim, in words."""
    return f"{'reached' if ms <= AIM_MS else 'missed'} ({ms:.0f})"


def study() -> Analysis:
    """Return an analysis with spheres of 8 to 20 mm at five positions."""
    item = volume(SLICES, SIDE)
    findings = []
    for number in range(NODULES):
        centre = (40 + 50 * number, 100 + 60 * number, 120 + 55 * number)
        radius = 4.0 + 1.5 * number
        z, y, x = np.ogrid[:SLICES, :SIDE, :SIDE]
        dz, dy, dx = item.spacing_mm
        inside = ((z - centre[0]) * dz) ** 2 + ((y - centre[1]) * dy) ** 2 + ((x - centre[2]) * dx) ** 2 <= radius**2
        found = replace(
            nodule(number),
            mask=pack_mask(inside),
            position_mm=item.lps(*centre),
            sop_instance_uid=item.sop_instance_uids[centre[0]],
            image_point=(centre[2] + 0.5, centre[1] + 0.5),
        )
        findings.append(found)
    prediction = Prediction(Outcome.FINDINGS, tuple(findings), looked_for=LOOKED_FOR)
    return replace(ct(prediction, slices=SLICES), item=item)


def segmented(analysis: Analysis) -> int:
    """Return the number of segmented frames."""
    return sum(finding.mask.shape[0] if finding.mask else 0 for finding in analysis.prediction.findings)


def claimed() -> ClaimedJob:
    """Return a claimed job of the study."""
    now = datetime.now(UTC)
    inputs = tuple(UnitInput(f"2.25.{1000 + n}", "1.2.840.10008.5.1.4.1.1.2", "0" * 64, "") for n in range(SLICES))
    return ClaimedJob(
        id=1, key="c3" * 32, unit_id=1, unit_kind=UnitKind.SERIES, revision=1, run=1, attempt=1, token=uuid4(), model="lung_nodule_ct",
        model_version="1.0.0", pipeline_digest="a1" * 32, priority=Priority.ROUTINE, destinations=("pacs",), study_instance_uid="2.25.100",
        series_instance_uid="2.25.200", sop_instance_uid="", inputs=inputs, received_at=now, completed_at=now, predecessors={}, outdated=(),
    )  # fmt: skip


def checked(objects: tuple[StoredObject, ...]) -> None:
    """Assert that the objects are a valid report and a valid segmentation."""
    assert {one.report.kind for one in objects} == {ResultKind.SR, ResultKind.SEG}
    assert not any(one.problems for one in objects)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return seconds of wall time, and of processor time, which other work on the machine affects less."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
