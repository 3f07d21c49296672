"""Writes the page and the JSON document of a trial into a folder that only the caller can read."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from core.counted import counted
from core.errors import ConfigurationError
from core.policy.trial.groups import LEAST_OF_GROUP
from deploy.local.private_files import make_private_folder, write_private_file

PAGE, DOCUMENT = "trial.html", "trial.json"
MOST_DIFFERENCES = 200  # on the page; the document has more


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """Where page and document go. ``copy``: gets the document too."""

    folder: Path
    copy: Path | None

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / PAGE

    @property
    def document(self) -> Path:
        """The document."""
        return self.folder / DOCUMENT

    def require_writable(self) -> None:
        """Make the folder, and check that every file can be written there.

        Raises
        ------
        ConfigurationError
            A file has the name of the folder, a folder has the name of a file, or the copy would replace the page.
        OSError
            A file cannot be written.
        """
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigurationError(f"{self.folder} is no folder", hint="give another one with --out")
        if not self.folder.is_dir():
            make_private_folder(self.folder)
        if self.copy is not None and self.copy.resolve() == self.page.resolve():
            raise ConfigurationError(f"{self.copy} is the page of the trial", hint="give another file with --json")
        for path in (self.page, self.document, *([] if self.copy is None else [self.copy])):
            if path.is_dir():
                raise ConfigurationError(f"{path} is a folder", hint="give other places with --out and --json")
            probe = path.with_name(path.name + ".new")
            probe.touch(mode=0o600)
            probe.unlink()

    def write(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Write page and document; return their names with their SHA-256."""
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        contents = {self.page: render_page(document), self.document: text}
        if not self.folder.is_dir():
            make_private_folder(self.folder)
        for path, content in contents.items():
            write_private_file(path, content)
        if self.copy is not None:
            write_private_file(self.copy, text)
        return {path.name: hashlib.sha256(content.encode()).hexdigest() for path, content in contents.items()}


def render_page(document: Mapping[str, Any]) -> str:
    """Return the page. It needs no other file and loads nothing from elsewhere."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "counted": counted}
    crossed: list[dict[str, Any]] = document["agreement"][0]["crossed"] if document["agreement"] else []
    tables = {"crossed": _table(crossed, "reported", "tried")}
    for name in ("reference", "reported_reference"):
        tables[name] = _table((document[name] or {"confusion": []})["confusion"], "clinician", "said")
    limits = {"most_differences": MOST_DIFFERENCES, "least_of_group": LEAST_OF_GROUP}
    return environment.get_template("page.html").render(**document, tables=tables, **limits)


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
