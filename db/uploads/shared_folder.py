"""Whether console and listener have one folder for uploads: a file in it names it, and the listener's heartbeat repeats the name."""

import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from db.engine import Database
from db.roles.heartbeats import alive_processes

NAME_FILE = ".folder-name"
DETAIL = "uploads"
"""Detail of the listener's heartbeat that has the name of its folder."""
ALIVE_S = 60.0


def folder_name(folder: Path) -> str:
    """Return the name of the folder: a random one, which the first process that asks writes into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    named, written = folder / NAME_FILE, folder / f"{NAME_FILE}-{uuid4().hex}"
    if not named.exists():
        written.write_text(uuid4().hex, encoding="ascii")
        with suppress(FileExistsError):
            os.link(written, named)  # complete from its first moment on
        written.unlink()
    return named.read_text(encoding="ascii")


def has_listener(database: Database, folder: Path) -> bool:
    """Return whether a listener that is alive reads this folder; True as well where no listener has said which one it reads."""
    said = {beat.details.get(DETAIL) for beat in alive_processes(database, ALIVE_S) if beat.role == "listen"} - {None}
    return not said or folder_name(folder) in said
