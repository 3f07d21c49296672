"""Scripts and style sheets under an address that changes with their content, so that browsers may keep them without asking again."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "static"
KEPT = "public, max-age=31536000, immutable"
"""Cache-Control of files whose address names their content (RFC 8246). They hold no patient data."""


@cache
def assets_path() -> str:
    """Return the path under which pages name scripts and style sheets, as ``/static/3f2a...``."""
    content = hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            content.update(str(path.relative_to(FOLDER)).encode() + path.read_bytes())
    return f"/static/{content.hexdigest()[:16]}"


def viewer_modules() -> list[str]:
    """Return the names of the viewer's module scripts, that of the page first."""
    names = sorted(path.name for path in (FOLDER / "viewer").glob("*.js") if path.name != "early.js")
    return sorted(names, key=lambda name: name != "main.js")


def mount_assets(application: FastAPI) -> None:
    """Serve the files under both addresses: the one that changes with their content, and the plain one."""
    files = StaticFiles(directory=FOLDER)
    application.mount(assets_path(), files, name="assets")
    application.mount("/static", files, name="static")
