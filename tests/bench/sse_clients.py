"""Many open worklists: connections that wait for events, and read the list again as the page does (console/static/worklist.js)."""

import asyncio
import contextlib
import random
import re
from urllib.parse import urlsplit


async def keep_open(url: str, cookie: str, *, count: int, seconds: float) -> int:
    """Hold ``count`` worklists open for ``seconds``; return how often a list was read again.

    Each event makes a worklist read its first page after a random part of the seconds that the event names.
    """
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 80
    reads = 0

    async def get(path: str, shown: str | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(host, port)
        extra = "" if shown is None else f"HX-Request: true\r\nX-Live: {shown}\r\nConnection: close\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nCookie: {cookie}\r\n{extra}\r\n".encode())
        await writer.drain()
        return reader, writer

    async def worklist() -> None:
        nonlocal reads
        reader, writer = await get("/worklist/events")
        shown = ""
        with contextlib.closing(writer):
            while line := await reader.readline():
                if line.startswith(b"data: changed"):
                    await asyncio.sleep(random.uniform(0, float(line.split()[2])))
                    answer, connection = await get("/worklist", shown)
                    with contextlib.closing(connection):
                        found = re.search(rb"x-lines: (\w+)", await answer.read())
                        shown = found[1].decode() if found else shown
                    reads += 1

    tasks = [asyncio.create_task(worklist()) for _ in range(count)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return reads
