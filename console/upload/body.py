"""Bodies of requests: written to the upload folder while they arrive, or read as a whole up to a limit."""

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from console.upload.spool_file import Piece

WRITE_BYTES = 256 << 10


async def append_body(request: Request, piece: Piece) -> None:
    """Write the body in parts of at least 256 KiB, in a thread: a disk that is slow must not stop the other requests."""
    waiting = bytearray()
    try:
        async for part in request.stream():
            waiting += part
            if len(waiting) >= WRITE_BYTES:
                whole, waiting = bytes(waiting), bytearray()
                await run_in_threadpool(piece.write, whole)
    finally:  # also of a connection that breaks: what has arrived is kept
        if waiting:
            piece.write(bytes(waiting))


async def read_body(request: Request, most_bytes: int) -> bytes | None:
    """Return the body; None where it is longer than ``most_bytes``."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            return None
    return bytes(body)
