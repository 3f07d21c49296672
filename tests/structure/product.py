"""The source files of the product as text and as syntax trees, for the checks in this folder."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "db", "imaging", "models", "training", "dicom_node", "workers", "console", "deploy")


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file: its dotted name, its path below the repository's root, its text and its syntax tree."""

    name: str
    path: str
    text: str
    tree: ast.Module


@cache
def modules() -> dict[str, Module]:
    """Every module of the product by its dotted name; a package is named without ``__init__``."""
    found = {}
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            path = file.relative_to(ROOT)
            name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            text = file.read_text(encoding="utf-8")
            found[name] = Module(name, str(path), text, ast.parse(text))
    return found


def imports(module: Module) -> set[str]:
    """Modules of the product that ``module`` imports anywhere, also inside functions; an import of a name counts as one of its module."""
    known = modules()
    found: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in known}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found |= {inner if inner in known else node.module} & known.keys()
    return found - {module.name}
