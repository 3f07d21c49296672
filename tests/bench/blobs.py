"""Measures what blobs cost in each place: the folder of this machine, an S3 server (SeaweedFS), another node over HTTPS.

make bench SECTION=blobs
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from core.settings.servers import StoreSection
from core.settings.settings import Settings
from db.blobs.open_blobs import open_store
from db.blobs.remote.cached_blobs import CachedBlobs
from db.blobs.store import Blobs
from dicom_node.blob_service.service import BlobService
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, work_folder
from tests.support.certificates import Authority
from tests.support.seaweed import SeaweedFs

SIZE_BYTES, WRITERS, TOKEN = 526_000, 8, "0" * 32  # one slice of CT, 512 x 512, uncompressed
HEAD = [
    "place",
    "one writer: ms per blob (least to most)",
    f"{WRITERS} writers: blobs/s",
    "a series of {count} blobs on another machine: s",
    "again: ms",
]


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__)
    parser.add_argument("--count", type=int, default=200, help="blobs of a series")
    arguments = parser.parse_args()
    with work_folder() as folder:
        seaweed = SeaweedFs(folder)
        try:
            rows = measure(folder, seaweed, arguments.count)
        finally:
            seaweed.kill()
    head = [column.format(count=arguments.count) for column in HEAD]
    text = paired_runs.markdown_table(head, rows)
    print(text)
    conditions = paired_runs.describe_conditions(f"make bench SECTION=blobs ARGS='--count {arguments.count}'")
    note = (
        f"Blobs of {SIZE_BYTES // 1000} kB, each confirmed before the next. Server and client share the machine and its processors; "
        "a network adds its round trip to each blob. Reading compares every hash."
    )
    paired_runs.write_section("blobs", f"## Blobs\n\n{conditions}\n\n{text}\n\n{note}")


def measure(folder: Path, seaweed: SeaweedFs, count: int) -> list[list[str]]:
    """Return one row for each place."""
    seaweed.start()
    authority = Authority(folder / "authority")
    cert, key = authority.sign("node")
    serve = {"tokens": TOKEN, "serve": {"port": 0, "tls": {"cert": cert, "key": key}}}
    served = Blobs(folder / "served")
    with BlobService(Settings.model_validate({"store": serve, "receive": {"min_free_bytes": 0}}), served) as service:
        node = StoreSection(url=f"https://127.0.0.1:{service.port}", tokens=TOKEN, ca=authority.ca)

        def machine(section: StoreSection) -> Callable[[str], Blobs]:
            return lambda name: CachedBlobs(folder / section.url[:2] / name, open_store(section), max_bytes=1 << 40)

        places: dict[str, Callable[[str], Blobs]] = {
            "folder": lambda _: Blobs(folder / "blobs"),
            "S3": machine(seaweed.section(url="s3://blobs/bench", timeout_s=120.0)),
            "node over HTTPS": machine(node),
        }
        return [[name, *_measure_place(opened, count)] for name, opened in places.items()]


def _measure_place(opened: Callable[[str], Blobs], count: int) -> list[str]:
    writer = opened("writer")
    hashes, took = [], []
    for _ in range(count):
        content = os.urandom(SIZE_BYTES)
        began = time.perf_counter()
        hashes.append(writer.put(content).sha256)
        took.append((time.perf_counter() - began) * 1000)
    contents = [os.urandom(SIZE_BYTES) for _ in range(count)]
    with ThreadPoolExecutor(WRITERS) as pool:
        began = time.perf_counter()
        list(pool.map(writer.put, contents))
        rate = count / (time.perf_counter() - began)
    reader = opened("reader")
    read = []
    for _ in range(2):
        began = time.perf_counter()
        for path in reader.fetch_all(hashes):
            path.read_bytes()
        read.append(time.perf_counter() - began)
    return [paired_runs.format_spread(took[1:], 1), f"{rate:.0f}", f"{read[0]:.2f}", f"{read[1] * 1000:.0f}"]


if __name__ == "__main__":
    main()
