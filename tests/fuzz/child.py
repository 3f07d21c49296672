"""Everything that a worker does with a file before its model sees it, in a process with limits: it decodes what a stranger sent.

``python -m tests.fuzz.child SEED FIRST LAST`` says on standard output which input it begins, and how each ended.
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
from tests.fuzz import datasets
from tests.fuzz.inputs import known
from tests.fuzz.mutate import damaged, elements
from tests.fuzz.seeds import Seed, chest_series, seed_of
from tests.support.series import encoded
from tests.support.transcode import LOSSLESS, transcode
from workers.encode.source import read_source

MEMORY_BYTES = 6 << 30
SLOW_S = 30.0  # of processor time for all ways together: more is a means to hold up a worker


def main() -> None:
    seed, first, last = (int(argument) for argument in sys.argv[1:4])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        series = chest_series(folder / "series")
        for number, one in numbered(seed, first, last, known(), list(datasets.hostile()), slices(series)):
            print(f"begin {number} {one.name}", flush=True)
            began = time.process_time()
            endings = {ending for _, ending in attempts(one, series, folder)}
            took = time.process_time() - began
            print(f"end {number} {'slow ' if took > SLOW_S else ''}{'; '.join(sorted(endings))}", flush=True)


def slices(series: list[Path]) -> list[Seed]:
    """One slice of the series in every lossless syntax: what is left whole of it fits in among the others."""
    found = []
    for name in LOSSLESS:
        with warnings_as_notes([]):
            made = transcode(read_dataset(series[5], pixels=True), name)
            found.append(seed_of(f"slice-{name}", encoded(made)))
    return found


def numbered(seed: int, first: int, last: int, seeds: list[Seed], designed: list[Seed], parts: list[Seed]) -> Iterator[tuple[int, Seed]]:
    """The inputs of a run: the designed ones, the known ones as they are, then damage; half of it to slices of one series."""
    fixed = [*designed, *seeds]
    for number in range(first, last):
        if number < len(fixed):
            yield number, fixed[number]
            continue
        dice = random.Random(f"{seed}/{number}")
        chosen = dice.choice(parts if number % 2 else seeds)
        if dice.random() < 0.1:
            yield number, replace(chosen, data_set=chosen.data_set[: dice.choice((200, 600))] + elements(dice))
        else:
            yield number, replace(chosen, data_set=damaged(chosen.data_set, dice))


def attempts(one: Seed, series: list[Path], folder: Path) -> Iterator[tuple[str, str]]:
    """Every way that the node reads a file, and how it ended: "read", or the class of the error that the node raises on purpose."""
    path, plain = folder / "input.dcm", folder / "plain"
    head = encode_head(sop_class_uid=one.sop_class, sop_instance_uid=one.sop_instance, transfer_syntax_uid=one.syntax)
    path.write_bytes(head + one.data_set)
    plain.write_bytes(one.data_set)
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
        "source": lambda: read_source([UnitInput(one.sop_instance, one.sop_class, "0" * 64, str(path))]),
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
