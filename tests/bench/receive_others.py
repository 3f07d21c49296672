"""Measures what other senders notice while one association sends input that costs much to read (tests/fuzz/costly_datasets.py).

    make bench SECTION=receive_others

One sender stores CT slices one after the other. In every second part of a round another process sends the costly inputs, in turns, on
one association. The time of each C-STORE is from its first byte to its answer.
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median, quantiles

from tests.bench import paired_runs
from tests.bench.receive_targets import listener
from tests.fuzz.costly_datasets import costly_datasets
from tests.fuzz.raw_association import RELEASE, RESPONSE_TIMEOUT_S, RawConnection, associate_rq, context, store
from tests.fuzz.seed_files import read_seed
from tests.support.series import encoded, image

PAGE = paired_runs.ROOT / "docs" / "measurements-receive.md"
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")  # context 1, 3, 5
FRAGMENT_BYTES = 131_000
START_TIMEOUT_S = 120.0


class Sender:
    """One association; it sends one C-STORE at a time."""

    def __init__(self, port: int, sop_class: str) -> None:
        self._peer = RawConnection(port)
        contexts = [context(2 * n + 1, sop_class.encode(), [syntax.encode()]) for n, syntax in enumerate(SYNTAXES)]
        self._peer.send(associate_rq(contexts, calling=b"BENCH"))
        self._peer.receive(RESPONSE_TIMEOUT_S)

    def store(self, sop_class: str, uid: str, syntax: str, data_set: bytes) -> tuple[float, int]:
        """Return the milliseconds from the first byte to the answer, and its status."""
        content = store(2 * SYNTAXES.index(syntax) + 1, sop_class.encode(), uid.encode(), data_set, fragment=FRAGMENT_BYTES)
        began, before = time.perf_counter(), len(self._peer.response.statuses)
        if not self._peer.send(content) or not self._peer.receive(RESPONSE_TIMEOUT_S):
            raise SystemExit("the listener closed the association")
        took = (time.perf_counter() - began) * 1000
        if len(self._peer.response.statuses) == before:
            raise SystemExit("a C-STORE was not answered")
        return took, self._peer.response.statuses[-1]

    def release(self) -> None:
        """End the association."""
        self._peer.send(RELEASE)
        self._peer.finish()


def send_costly(port: int, active: Event, stop: Event, sent: "Synchronized[int]") -> None:
    """Send the costly inputs in turns while ``active`` is set."""
    seeds = [seed for seed, _ in costly_datasets()]
    sender = Sender(port, seeds[0].sop_class)
    while not stop.is_set():
        for seed in seeds:
            if not active.wait(0.2) or stop.is_set():
                break
            sender.store(seed.sop_class, seed.sop_instance, seed.syntax, seed.data_set)
            with sent.get_lock():
                sent.value += 1
    sender.release()


def main() -> None:
    """Run the benchmark and write its section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=200, help="of a part, of which each round has two")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True, help="into docs/measurements-receive.md")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dicom-node-bench-"))
    folder.chmod(0o755)
    try:
        with listener(folder, 1) as ((_, port), _):
            alone, beside, sent = measure(port, arguments.instances, arguments.rounds)
    finally:
        shutil.rmtree(folder)
    text = report(alone, beside, sent)
    print(text)
    if arguments.write:
        command = f'make bench SECTION=receive_others ARGS="--instances {arguments.instances} --rounds {arguments.rounds}"'
        title = f"## Other senders beside costly input\n\n{paired_runs.describe_conditions(command)}"
        paired_runs.write_section("receive_others", f"{title}\n\n{text}", PAGE)


def measure(port: int, instances: int, rounds: int) -> tuple[list[list[float]], list[list[float]], int]:
    """Return the times of each round without and with costly input, and how many costly inputs were sent."""
    processes = multiprocessing.get_context("spawn")
    active, stop, sent = processes.Event(), processes.Event(), processes.Value("i", 0)
    costly = processes.Process(target=send_costly, args=(port, active, stop, sent), daemon=True)
    costly.start()
    slice_ = read_seed("slice", encoded(image(number=1, side=512, SOPInstanceUID="2.25.5" + "0" * 37)))
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    sender, number = Sender(port, slice_.sop_class), 0
    try:
        for which in range(-2, 2 * rounds):
            if which % 2:
                active.set()
                wait_for_more(sent)
            else:
                active.clear()
            times = []
            for _ in range(instances if which >= 0 else 10):
                number += 1
                uid = f"2.25.5{number:037d}"
                data_set = slice_.data_set.replace(slice_.sop_instance.encode(), uid.encode())
                took, status = sender.store(slice_.sop_class, uid, slice_.syntax, data_set)
                if status:
                    raise SystemExit(f"the slice was answered with {status:04X}")
                times.append(took)
            if which >= 0:
                (beside if which % 2 else alone).append(times)
        sender.release()
    finally:
        stop.set()
        active.set()
        costly.join(60)
    return alone, beside, sent.value


def wait_for_more(sent: "Synchronized[int]") -> None:
    """Wait until another costly input was answered."""
    before, deadline = sent.value, time.monotonic() + START_TIMEOUT_S
    while sent.value == before:
        if time.monotonic() > deadline:
            raise SystemExit("no costly input was answered")
        time.sleep(0.02)


def report(alone: list[list[float]], beside: list[list[float]], sent: int) -> str:
    """Return the table."""

    def p99(times: list[float]) -> float:
        return quantiles(times, n=100)[98]

    rows = [
        [name, *(f"{median(summary(times) for times in part):.1f}" for summary in (median, p99)), str(sum(len(times) for times in part))]
        for name, part in (("alone", alone), ("beside costly input", beside))
    ]
    ratios = [median(f(loaded) / f(quiet) for quiet, loaded in zip(alone, beside, strict=True)) for f in (median, p99)]
    rows.append(["ratio, median of the rounds", *(f"{ratio:.2f}" for ratio in ratios), ""])
    table = paired_runs.markdown_table(["another sender's C-STORE of 0.53 MB", "p50, ms", "p99, ms", "instances"], rows)
    return (
        f"{table}\n\nMeanwhile {sent} costly inputs were answered on one association: those of the table in "
        f"[measurements](measurements.md#input-that-costs-much-to-read), in turns, without a pause."
    )


if __name__ == "__main__":
    main()
