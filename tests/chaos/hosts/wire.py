"""Forwards frames between two TAP devices, delays them and loses some: what ``tc netem`` does, where the kernel has no sch_netem.

It works on frames, not on connections: TCP sees real loss and real round trips, and retransmits. Lines on standard input:
``DELAY_MS LOSS`` sets both for either direction, ``count`` prints how many frames were forwarded and lost. It imports nothing of the
project, so that it starts at once.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FRAME_BYTES = 65536
QUEUE = 4000  # frames on their way in one direction: more are lost, as at a full queue of netem


def open_tap(name: str) -> int:
    """Create a TAP device; it lasts as long as this process."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def main(near: str, far: str) -> None:
    """Forward until standard input ends."""
    taps = [open_tap(near), open_tap(far)]
    print("ready", flush=True)
    rng = random.Random(near)
    delay_s = loss = 0.0
    forwarded = lost = 0
    waiting: tuple[deque[tuple[float, bytes]], ...] = (deque(), deque())  # for each direction; the delay changes seldom
    poller = select.poll()
    for descriptor in (*taps, 0):
        poller.register(descriptor, select.POLLIN)
    while True:
        now = time.monotonic()
        for direction, queue in enumerate(waiting):
            while queue and queue[0][0] <= now:
                try:
                    os.write(taps[1 - direction], queue.popleft()[1])
                    forwarded += 1
                except OSError:  # the device is down, or its queue is full
                    lost += 1
        due = [queue[0][0] for queue in waiting if queue]
        for descriptor, _ in poller.poll(max(0.0, min(due) - now) * 1000 if due else None):
            if descriptor == 0:
                lines = os.read(0, 4096).decode().splitlines()  # a line is shorter than what a pipe writes at once
                if not lines:
                    return
                for line in lines:
                    if line == "count":
                        print(forwarded, lost, flush=True)
                    else:
                        delay_s, loss = float(line.split()[0]) / 1000, float(line.split()[1])
                continue
            direction = taps.index(descriptor)
            for _ in range(64):
                try:
                    frame = os.read(descriptor, FRAME_BYTES)
                except OSError:  # nothing more to read, or the device is down
                    break
                if rng.random() < loss or len(waiting[direction]) >= QUEUE:
                    lost += 1
                else:
                    waiting[direction].append((time.monotonic() + delay_s, frame))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
