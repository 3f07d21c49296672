"""Reads hostile files in every way that a worker does, in a process with limits of its own.

``python -m tests.fuzz.reading_process SEED FIRST LAST`` prints which input it begins, and the result of each.
"""

import faulthandler
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.errors import NodeError
from core.records import UnitInput
from imaging.headers.instance_header import read_header
from imaging.headers.route_values import read_route_values
from imaging.headers.scanner import read_scanner
from imaging.photograph.read import read_photograph
from imaging.pixels.decode import decode_frames
from imaging.pixels.same_content import same_content
from imaging.volume.volume import read_volume
from imaging.wire.notes import warnings_as_notes
from imaging.wire.part10 import encode_head
from imaging.wire.tolerant_parser import read_dataset
from tests.fuzz import hostile_datasets
from tests.fuzz.inputs import all_seeds
from tests.fuzz.mutations import mutate, random_elements
from tests.fuzz.seed_files import Seed, chest_series, read_seed
from tests.support.series import encoded
from tests.support.transcode import LOSSLESS, transcode
from workers.encode.source_images.source import read_source

MEMORY_BYTES = 6 << 30
SLOW_S = 15.0  # processor time for one file, read in ten ways: more would let a sender block a worker


def main() -> None:
    """Read the inputs of the command line's numbers."""
    seed, first, last = (int(argument) for argument in sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series = chest_series(folder / "series")
        for number, item in numbered(seed, first, last, all_seeds(), list(hostile_datasets.hostile_datasets()), slices(series)):
            print(f"begin {number} {item.name}", flush=True)
            began = time.process_time()
            results = {result for _, result in read_in_every_way(item, series, folder)}
            took = time.process_time() - began
            print(f"end {number} {'slow ' if took > SLOW_S else ''}{'; '.join(sorted(results))}", flush=True)


def slices(series: list[Path]) -> list[Seed]:
    """Return one slice of the series in every lossless transfer syntax."""
    found = []
    for name in LOSSLESS:
        with warnings_as_notes([]):
            made = transcode(read_dataset(series[5], pixels=True), name)
            found.append(read_seed(f"slice-{name}", encoded(made)))
    return found


def numbered(seed: int, first: int, last: int, seeds: list[Seed], designed: list[Seed], parts: list[Seed]) -> Iterator[tuple[int, Seed]]:
    """Yield the inputs of a run: the designed ones, the seeds unchanged, then damaged ones; half of these are slices of one series."""
    fixed = [*designed, *seeds]
    for number in range(first, last):
        if number < len(fixed):
            yield number, fixed[number]
            continue
        rng = random.Random(f"{seed}/{number}")
        chosen = rng.choice(parts if number % 2 else seeds)
        if rng.random() < 0.1:
            yield number, replace(chosen, data_set=chosen.data_set[: rng.choice((200, 600))] + random_elements(rng))
        else:
            yield number, replace(chosen, data_set=mutate(chosen.data_set, rng))


def read_in_every_way(item: Seed, series: list[Path], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each way that the node reads a file, with its result: "read", or the class of the error that the node raises on purpose."""
    path, plain = folder / "input.dcm", folder / "plain"
    head = encode_head(sop_class_uid=item.sop_class, sop_instance_uid=item.sop_instance, transfer_syntax_uid=item.syntax)
    path.write_bytes(head + item.data_set)
    plain.write_bytes(item.data_set)
    ways: dict[str, Callable[[], object]] = {
        "header": lambda: read_header(path),
        "routes": lambda: read_route_values(read_dataset(path)),
        "frames": lambda: np.asarray(decode_frames(read_dataset(path, pixels=True))),
        "photograph": lambda: read_photograph(path),
        "a plain image file": lambda: read_photograph(plain),
        "volume": lambda: read_volume([*series[:5], path, *series[6:]]),
        "alone": lambda: read_volume([path]),
        "content": lambda: same_content(path, series[5]),
        "scanner": lambda: read_scanner(path),
        "source": lambda: read_source([UnitInput(item.sop_instance, item.sop_class, "0" * 64, str(path))]),
    }
    for name, way in ways.items():
        try:
            way()
            yield name, "read"
        except NodeError as error:
            yield name, type(error).__name__
        except Exception as error:
            yield name, f"DEFECT {name}: {type(error).__name__}: {error}"[:300].replace("\n", " ")


if __name__ == "__main__":
    main()
