"""A console in a process of its own, for benchmarks: ``python -m tests.bench.console_process FOLDER``, the URL of the database on stdin.

It prints its address, and ends when standard input is closed. As in a role, what was imported is excluded from garbage collection: a full
collection over it takes 0.1 to 0.4 s, which some page of the benchmark would wait for.
"""

import sys
from pathlib import Path

from core.process_memory import freeze_garbage_collector
from db.engine import Database
from tests.support.console import RunningConsole


def main() -> None:
    """Serve until standard input is closed."""
    freeze_garbage_collector()
    database = Database.open(sys.stdin.readline().strip())
    with RunningConsole(database, Path(sys.argv[1])) as console:
        print(console.url, flush=True)
        sys.stdin.read()
    database.dispose()


if __name__ == "__main__":
    main()
