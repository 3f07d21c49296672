"""Measures the memory of the listener while it receives a multi-frame object of 1 GB, and many small instances.

    make bench SECTION=memory ARGS="--instances 100000"

Resident memory of the process that serves, sampled while it receives (``--large`` GB) and after every tenth of the instances.
"""

import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from pydicom.uid import UID, ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage

from dicom_node.sockets import NodeEntity
from imaging.wire.command_set import read_command_set
from tests.bench import paired_runs
from tests.bench.benchmark import command_line, report, work_folder
from tests.bench.receive import store
from tests.bench.receive_targets import Target, listener
from tests.support.series import CT, encoded, image

SIDE = 512


def main() -> None:
    """Run the benchmark and write its section."""
    parser = command_line(__doc__, page=paired_runs.MEASUREMENTS)
    parser.add_argument("--large", type=float, default=1.0, help="GB of the multi-frame object")
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--associations", type=int, default=8)
    arguments = parser.parse_args()
    os.environ["TCP_NODELAY"] = "1"
    with work_folder() as folder, listener(folder, 1) as running:
        process = psutil.Process(running.pid)
        rows = [["at rest, nothing received", mib(process)]]
        rows += small(running.target, process, arguments.instances, arguments.associations)
        rows += large(running.target, process, folder / "large", arguments.large)
    text = paired_runs.markdown_table(["listener, one process", "resident, MiB"], rows)
    options = f"--instances {arguments.instances} --associations {arguments.associations}"
    report(arguments, "memory", "## Memory of the listener", text, options, page=paired_runs.MEASUREMENTS)


def mib(process: psutil.Process) -> int:
    """Return the resident memory of a process in MiB."""
    return int(process.memory_info().rss) >> 20


def large(target: Target, process: psutil.Process, folder: Path, size_gb: float) -> list[list[object]]:
    """Send one object with storescu; return the maximum memory meanwhile."""
    folder.mkdir()
    frames = int(size_gb * 1e9) // (SIDE * SIDE * 2)
    one = image(number=1, sop_class=MultiFrameGrayscaleWordSecondaryCaptureImageStorage, NumberOfFrames=frames)
    del one.PixelData
    one.Rows = one.Columns = SIDE
    content = encoded(one) + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, frames * SIDE * SIDE * 2)
    path = folder / "one.dcm"
    path.write_bytes(content)
    os.truncate(path, len(content) + frames * SIDE * SIDE * 2)
    before, most, over = mib(process), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.02):
            most = max(most, mib(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = store([folder], target)
    over.set()
    watcher.join()
    what = f"{path.stat().st_size / 1e9:.2f} GB multi-frame ({frames} frames), {seconds:.1f} s until Success"
    return [[f"before the {what.split(',')[0]}", before], [f"most during it: {what.split(', ', 1)[1]}", most], ["after it", mib(process)]]


def small(target: Target, process: psutil.Process, instances: int, associations: int) -> list[list[object]]:
    """Send many instances of a few kilobytes on a few associations, a new series every 500; return the memory after every tenth part."""
    rows: list[list[object]] = []
    began = time.monotonic()
    for tenth in range(10):
        each = instances // 10 // associations
        with ThreadPoolExecutor(associations) as pool:
            for done in [pool.submit(stream, target, tenth * associations + number, each) for number in range(associations)]:
                done.result()
        count = (tenth + 1) * each * associations
        rows.append([f"after {count} instances, {count / (time.monotonic() - began):.0f}/s", mib(process)])
        print(*rows[-1], flush=True)
    return rows


def stream(target: Target, which: int, count: int) -> None:
    """Send on one association through its socket, which takes little processor time."""
    title, port = target
    entity = NodeEntity("BENCH")
    entity.add_requested_context(CT, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title=title)
    if not association.is_established or association.dul.socket is None or association.dul.socket.socket is None:
        raise SystemExit("the listener refused the association")
    association._reactor_checkpoint.clear()
    association.dul._kill_thread = True
    association.dul.join()
    connection, context = association.dul.socket.socket, association.accepted_contexts[0].context_id or 0
    connection.settimeout(120)
    one = image(number=1, side=32)
    sop, series = f"2.25.3{0:037d}", f"2.25.4{0:037d}"
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID(sop)
    one.SeriesInstanceUID = UID(series)
    whole = encoded(one)
    raw = whole[144 + int.from_bytes(whole[140:144], "little") :]
    for number in range(count):
        uid = f"2.25.3{which * 1_000_000 + number:037d}".encode()
        body = raw.replace(sop.encode(), uid).replace(series.encode(), f"2.25.4{which * 1000 + number // 500:037d}".encode())
        request = pdv(context, 3, command(uid)) + pdv(context, 2, body)
        connection.sendall(struct.pack(">BxL", 4, len(request)) + request)
        if status(connection) != 0:
            raise SystemExit("an instance was not taken")
    connection.sendall(struct.pack(">BxLL", 5, 4, 0))  # A-RELEASE-RQ
    connection.recv(10)
    association._kill = True
    association._reactor_checkpoint.set()
    association.dul.socket._shutdown_socket()


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """Encode a presentation data value."""
    return struct.pack(">LBB", len(fragment) + 2, context, control) + fragment


def command(uid: bytes) -> bytes:
    """Encode the command set of a C-STORE-RQ."""
    values = ((0x0002, CT.encode()), (0x0100, b"\1\0"), (0x0110, b"\1\0"), (0x0700, b"\0\0"), (0x0800, b"\0\0"), (0x1000, uid))
    padded = ((number, value + b"\0" * (len(value) % 2)) for number, value in values)
    return b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in padded)


def status(connection: socket.socket) -> int:
    """Receive a C-STORE-RSP; return its status."""
    head = connection.recv(6, socket.MSG_WAITALL)
    body = b""
    while len(body) < struct.unpack(">L", head[2:])[0]:
        body += connection.recv(1 << 16)
    return int(struct.unpack("<H", read_command_set(body[6:])[0x0900])[0])


if __name__ == "__main__":
    main()
