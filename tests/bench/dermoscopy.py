"""Measures ``dermoscopy_7class`` per image on the CPU: single images, heat maps, and a batch.

.venv/bin/python -m tests.bench.dermoscopy [--images 64]

Wall time, and processor time, which other work on the machine hardly affects.
"""

import argparse
import io
import json
import os
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from PIL import Image

from deploy.demo.synthetic.lesion import make_lesion
from imaging.photograph.read import Photograph
from models import runtime

ROUNDS = 5


def main() -> None:
    """Run the benchmark and print the result."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=64)
    items = [make_photograph(seed) for seed in range(parser.parse_args().images)]
    model = runtime.load("dermoscopy_7class", device="cpu")
    model.warm_up()
    answers = model.predict(items)
    assert [model.predict([item])[0] for item in items] == answers  # the same bits
    pairs = list(zip(items, answers, strict=True))
    found = {
        "alone": [time_per_item(lambda item=item: model.predict([item]), 1) for item in items],
        "heat_map_besides": [time_per_item(lambda pair=pair: model.heat_map(*pair), 1) for pair in pairs],
        "batch_per_image": [time_per_item(lambda: model.predict(items), len(items)) for _ in range(ROUNDS)],
    }
    table = {name: {"wall_ms": median_ms(times, 0), "processor_ms": median_ms(times, 1)} for name, times in found.items()}
    print(
        json.dumps({"cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1), "images": len(items), **table}, indent=2)
    )


def make_photograph(seed: int) -> Photograph:
    """Return a synthetic photograph."""
    rgb = np.asarray(Image.open(io.BytesIO(make_lesion(seed, size=(450, 600)).jpeg)))
    return Photograph(rgb, f"2.25.{seed + 1}", 50.0, "F", "back", None, ())


def time_per_item(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Return seconds of wall time and of processor time per item."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) / count, (time.process_time() - processor) / count


def median_ms(times: list[tuple[float, float]], which: int) -> float:
    """Return the median in milliseconds of wall time (0) or processor time (1)."""
    return round(1000 * median(item[which] for item in times), 1)


if __name__ == "__main__":
    main()
