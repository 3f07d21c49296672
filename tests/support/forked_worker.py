"""Stands for a process of ``pytest -n``, which is a fork of another one (`tests.support.forked_workers`), and has its exit status.

It gives that fork its standard streams, and ends when the fork ends. When it is killed, so is the fork.
"""

import signal
import socket
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(sys.argv[1])
        socket.send_fds(server, [b"f"], [0, 1, 2])
        status = server.recv(1)
    sys.exit(status[0] if status else 1)
