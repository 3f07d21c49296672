"""Measures what other senders notice while one association sends input that costs much to read (tests/fuzz/costly_datasets.py).

    make bench SECTION=receive_others

One sender stores CT slices one after the other. A round has three parts: nothing else is sent; another process sends images of the size of
the costly inputs, in turns, on one association; it sends the costly inputs. The time of each C-STORE is from its first byte to its answer.
"""

import multiprocessing
import struct
import time
from dataclasses import replace
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from statistics import median, quantiles

from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.receive_targets import listener
from tests.fuzz.costly_datasets import costly_datasets
from tests.fuzz.raw_association import RELEASE, RESPONSE_TIMEOUT_S, RawConnection, associate_rq, context, store
from tests.fuzz.seed_files import Seed, read_seed
from tests.support.series import encoded, image

PAGE = paired_runs.ROOT / "docs" / "measurements-receive.md"
SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99")  # context 1, 3, 5
FRAGMENT_BYTES = 131_000
START_TIMEOUT_S = 120.0
ALONE, HARMLESS, COSTLY = PARTS = range(3)


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


def send_others(port: int, part: "Synchronized[int]", stop: Event, sent: "Synchronized[int]") -> None:
    """Send the costly inputs in turns while ``part`` is `COSTLY`, images of their size while it is `HARMLESS`."""
    seeds = [seed for seed, _ in costly_datasets()]
    harmless = [image_of_size(number, len(seed.data_set)) for number, seed in enumerate(seeds)]
    sender = Sender(port, seeds[0].sop_class)
    while not stop.is_set():
        for costly, plain in zip(seeds, harmless, strict=True):
            while part.value == ALONE and not stop.is_set():
                time.sleep(0.01)
            if stop.is_set():
                break
            seed = costly if part.value == COSTLY else plain
            sender.store(seed.sop_class, seed.sop_instance, seed.syntax, seed.data_set)
            with sent.get_lock():
                sent.value += 1
    sender.release()


def image_of_size(number: int, size_bytes: int) -> Seed:
    """Make an image whose data set is about that long."""
    plain = read_seed("plain", encoded(image(number=1 + number, side=8, study=7, PixelData=None)))
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, size_bytes & ~1) + bytes(size_bytes & ~1)
    return replace(plain, data_set=plain.data_set + pixels)


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=PAGE)
    parser.add_argument("--instances", type=int, default=200, help="of a part, of which each round has two")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with work_folder() as folder, listener(folder, 1) as running:
        times, sent = measure(running.port, arguments.instances, arguments.rounds)
    options = f"--instances {arguments.instances} --rounds {arguments.rounds}"
    report(arguments, "receive_others", "## Other senders beside costly input", describe(times, sent), options, page=PAGE)


def measure(port: int, instances: int, rounds: int) -> tuple[list[list[list[float]]], list[int]]:
    """Return, for each part of a round, the times of each round and how many other inputs were sent."""
    processes = multiprocessing.get_context("spawn")
    part, stop, sent = processes.Value("i", ALONE), processes.Event(), processes.Value("i", 0)
    others = processes.Process(target=send_others, args=(port, part, stop, sent), daemon=True)
    others.start()
    slice_ = read_seed("slice", encoded(image(number=1, side=512, SOPInstanceUID="2.25.5" + "0" * 37)))
    found: list[list[list[float]]] = [[] for _ in PARTS]
    counts = [0 for _ in PARTS]
    sender, number = Sender(port, slice_.sop_class), 0
    try:
        for round_ in range(-1, rounds):
            for which in PARTS:
                part.value = which
                if which != ALONE:
                    wait_for_more(sent)
                times, before = [], sent.value
                for _ in range(instances if round_ >= 0 else 10):
                    number += 1
                    uid = f"2.25.5{number:037d}"
                    data_set = slice_.data_set.replace(slice_.sop_instance.encode(), uid.encode())
                    took, status = sender.store(slice_.sop_class, uid, slice_.syntax, data_set)
                    if status:
                        raise SystemExit(f"the slice was answered with {status:04X}")
                    times.append(took)
                if round_ >= 0:
                    found[which].append(times)
                    counts[which] += sent.value - before
        sender.release()
    finally:
        stop.set()
        others.join(60)
    return found, counts


def wait_for_more(sent: "Synchronized[int]") -> None:
    """Wait until another costly input was answered."""
    before, deadline = sent.value, time.monotonic() + START_TIMEOUT_S
    while sent.value == before:
        if time.monotonic() > deadline:
            raise SystemExit("no costly input was answered")
        time.sleep(0.02)


def describe(times: list[list[list[float]]], sent: list[int]) -> str:
    """Return the table."""

    def p99(values: list[float]) -> float:
        return quantiles(values, n=100)[98]

    names = ("alone", "beside images of the same sizes", "beside costly input")
    rows = []
    for name, part, count in zip(names, times, sent, strict=True):
        figures = [f"{median(summary(values) for values in part):.1f}" for summary in (median, p99)]
        ratios = [f"{median(f(one) / f(base) for one, base in zip(part, times[ALONE], strict=True)):.2f}" for f in (median, p99)]
        rows.append([name, *figures, *ratios, str(count)])
    head = ["another sender's C-STORE of 0.53 MB", "p50, ms", "p99, ms", "p50 / alone", "p99 / alone", "other inputs answered"]
    table = paired_runs.markdown_table(head, rows)
    return (
        f"{table}\n\nEach part of {len(times[ALONE][0])} instances; medians of {len(times[ALONE])} rounds. The costly inputs are those of "
        f"the table in [measurements](measurements-trust.md#input-that-costs-much-to-read), in turns, without a pause."
    )


if __name__ == "__main__":
    main()
