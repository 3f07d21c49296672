"""Measures the flushes that Success waits for, each alone: a new file of one slice (fsync), and a row (COMMIT of PostgreSQL)."""

import os
import time
from pathlib import Path

import psycopg2

SLICE_BYTES = 527_000


def file_flushes_ms(folder: Path, count: int, *, new_folders: bool = False) -> list[float]:
    """Return the time of each fsync of a new file, with its second name, as the listener makes it.

    ``new_folders``: the second name is the first one in its folder, as it is for the first instances of a new node.
    """
    content, took = os.urandom(SLICE_BYTES), []
    target = folder / "blobs"
    target.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number}"
        if new_folders:
            target = folder / f"blobs-{number}"
            target.mkdir()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(descriptor, content)
        os.link(path, target / f"{number}")
        began = time.perf_counter()
        os.fsync(descriptor)
        took.append((time.perf_counter() - began) * 1000)
        os.close(descriptor)
        os.unlink(path)
    return took


def commits_ms(url: str, count: int) -> list[float]:
    """Return the time of each COMMIT of a transaction that has inserted one row of the size of an instance's rows."""
    connection, took = psycopg2.connect(url.replace("+psycopg2", "")), []
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS flushed (row text)")
    connection.commit()
    for _ in range(count):
        cursor.execute("INSERT INTO flushed VALUES (%s)", ("x" * 1500,))
        began = time.perf_counter()
        connection.commit()
        took.append((time.perf_counter() - began) * 1000)
    cursor.execute("DROP TABLE flushed")
    connection.commit()
    connection.close()
    return took
