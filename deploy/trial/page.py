"""Writes the page and the JSON document of a trial into a folder that only the caller can read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from deploy.local.private_files import make_private_folder, write_private_file

PAGE, DOCUMENT = "trial.html", "trial.json"
MOST_DIFFERENCES = 200  # on the page; the document has all


def write_trial(folder: Path, document: Mapping[str, Any], json_file: Path | None) -> dict[str, str]:
    """Write trial.html and trial.json into ``folder``, and the document to ``json_file`` too; return their names with their SHA-256."""
    if not folder.is_dir():
        make_private_folder(folder)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    contents = {folder / PAGE: render_page(document), folder / DOCUMENT: text}
    if json_file is not None:
        contents[json_file] = text
    for path, content in contents.items():
        write_private_file(path, content)
    return {path.name: hashlib.sha256(content.encode()).hexdigest() for path, content in contents.items()}


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page. It needs no other file and loads nothing from elsewhere."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = _percent
    crossed: list[dict[str, Any]] = document["agreement"][0]["crossed"] if document["agreement"] else []
    tables = {"crossed": _table(crossed, "reported", "tried")}
    for name in ("reference", "reported_reference"):
        tables[name] = _table((document[name] or {"confusion": []})["confusion"], "clinician", "said")
    return environment.get_template("page.html").render(**document, tables=tables, most_differences=MOST_DIFFERENCES)


def _percent(share: Mapping[str, Any]) -> str:
    """A share with its interval; a dash where nothing was counted."""
    if not share["n"]:
        return "–"
    return f"{100 * share['value']:.0f} % ({100 * share['low']:.0f} to {100 * share['high']:.0f} %), {share['count']} of {share['n']}"


def _table(rows: list[dict[str, Any]], row: str, column: str) -> dict[str, Any]:
    """A cross table: ``columns``, and ``rows`` of (name, counts in the order of the columns). A class without findings is "none"."""
    names = sorted({one[column] for one in rows} | {one[row] for one in rows})
    counts = {(one[row], one[column]): one["units"] for one in rows}
    of_rows = sorted({one[row] for one in rows})
    return {
        "columns": [name or "none" for name in names],
        "rows": [(name or "none", [counts.get((name, other), 0) for other in names]) for name in of_rows],
    }
