"""Measures what hostile input costs a listener: processor time and memory of the role, and how long another sender waits meanwhile.

    make bench SECTION=hostile

Processor time is that of the role with its children; memory is the highest resident set of the listener above the one before, which Linux
counts from the moment that it is reset (proc(5), clear_refs), and what each of its children has of its own at the end.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
from pydicom.dataset import Dataset

from imaging.wire.part10 import data_set_offset
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.receive_targets import listener
from tests.fuzz.costly_datasets import costly_datasets
from tests.fuzz.raw_association import RELEASE, RQ, associate_rq, context, pdu, send_parts, store
from tests.fuzz.seed_files import Seed
from tests.support.series import encoded, image

EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXTS, SILENT = 15_000, 300
TIMEOUT_S = 1200.0
PAGE = paired_runs.ROOT / "docs" / "measurements-trust.md"
UNKNOWN, KNOWN = "NOBODY", "BENCH"


class MeasuredListener:
    """The process of a listener."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.process = port, psutil.Process(pid)

    def request(self, sop_class: str, syntax: str, *, calling: str = KNOWN) -> bytes:
        """Encode an A-ASSOCIATE-RQ with one presentation context."""
        return associate_rq([context(1, sop_class.encode(), [syntax.encode()])], calling=calling.encode())

    def store(self, seed: Seed) -> str:
        """Store one data set; return the answer in words."""
        content = store(1, seed.sop_class.encode(), seed.sop_instance.encode(), seed.data_set)
        return send_parts(self.port, [self.request(seed.sop_class, seed.syntax), content, RELEASE], pause_s=TIMEOUT_S).words

    def send_malformed(self, request: bytes) -> str:
        """Send a request; return the answer in words."""
        return send_parts(self.port, [request], pause_s=TIMEOUT_S).words

    def processor_s(self) -> float:
        """Processor time of the role and its children so far."""
        times = [one.cpu_times() for one in (self.process, *self.process.children(recursive=True))]
        return sum(used.user + used.system for used in times)

    def measure(self, what: str, act: Callable[[], str], waits: list[float]) -> list[object]:
        """Return a row of the table: what ``act`` costs the listener, and the longest wait of the other sender meanwhile."""
        first, status = len(waits), Path(f"/proc/{self.process.pid}/status")
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        rss, used, began = self.process.memory_info().rss, self.processor_s(), time.monotonic()
        answer = act()
        elapsed, used = time.monotonic() - began, self.processor_s() - used
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) << 10
        own = sum(child.memory_full_info().uss for child in self.process.children())
        longest = f"{max(waits[first:], default=0):.2f}" if waits else ""
        return [what, f"{used:.2f}", (peak - rss) >> 20, own >> 20, f"{elapsed:.1f}", answer, longest]

    @contextlib.contextmanager
    def other_sender(self) -> Iterator[list[float]]:
        """Send one small instance again and again on connections of its own; yields the list of the times that it waited."""
        waits, over = list[float](), threading.Event()
        seed = seed_of(image(study=900, side=16))

        def send() -> None:
            while not over.is_set():
                began = time.monotonic()
                assert self.store(seed) == "status 0000"
                waits.append(time.monotonic() - began)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield waits
        finally:
            over.set()
            thread.join()


def main() -> None:
    """Run the benchmark and write its section."""
    arguments = command_line(__doc__, page=PAGE).parse_args()
    with work_folder() as folder, listener(folder, 1) as running:
        measured = MeasuredListener(running.port, running.pid)
        rows = [*connections(measured), *instances(measured)]
    head = ["input", "s of processor", "MiB more", "children, MiB", "answer after, s", "answer", "longest wait of another sender, s"]
    report(arguments, "hostile", "", paired_runs.markdown_table(head, rows), page=PAGE)


def instances(measured: MeasuredListener) -> Iterator[list[object]]:
    """Send each costly data set that is refused: alone, then while another sender sends."""
    refused = [seed for seed, tag in costly_datasets() if tag]
    for seed in refused:
        yield measured.measure(f"{seed.name}, {len(seed.data_set) / 1e6:.1f} MB", partial(measured.store, seed), [])
    with measured.other_sender() as waits:
        while len(waits) < 20:
            time.sleep(0.1)
        yield ["another sender, nothing else", "", "", "", "", "", f"{max(waits):.2f}"]
        for seed in refused:
            yield measured.measure(f"beside another sender: {seed.name}", partial(measured.store, seed), waits)


def connections(measured: MeasuredListener) -> Iterator[list[object]]:
    """Open connections that send nothing or one byte, and request associations with too many presentation contexts."""
    seed = seed_of(image(study=900, side=16))
    measured.store(seed)
    for what, first in (("silent connections", b""), ("connections that send one byte", b"\1")):
        with contextlib.ExitStack() as held:

            def open_all(held: contextlib.ExitStack = held, first: bytes = first) -> str:
                for _ in range(SILENT):
                    with contextlib.suppress(OSError):
                        held.enter_context(socket.create_connection(("127.0.0.1", measured.port), timeout=10)).sendall(first)
                return measured.store(seed)

            yield measured.measure(f"{SILENT} {what}, then a source's C-STORE", open_all, [])
    for who, calling in (("unknown", UNKNOWN), ("known", KNOWN)):
        repeated = b"".join(context(1, b"1.2.840.10008.1.1", [EXPLICIT.encode()]) for _ in range(CONTEXTS))
        valid = measured.request("1.2.840.10008.1.1", EXPLICIT, calling=calling)
        request = pdu(RQ, valid[6:74] + repeated + valid[74:])
        what = f"A-ASSOCIATE-RQ of {len(request) >> 10} kB, {CONTEXTS} contexts with one id, AE title {who}"
        yield measured.measure(what, partial(measured.send_malformed, request), [])


def seed_of(dataset: Dataset) -> Seed:
    """Make a seed of a data set in Explicit VR Little Endian."""
    content = encoded(dataset)
    return Seed("plain", str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), EXPLICIT, content[data_set_offset(content) :])


if __name__ == "__main__":
    main()
