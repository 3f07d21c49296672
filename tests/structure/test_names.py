"""Public names of the product: a class name occurs once, a function name says of what, a folder stays small."""

import ast
from collections import Counter, defaultdict
from pathlib import PurePath

from tests.structure.product import modules

REVISIONS = "db/schema/versions"  # alembic wants a module for each revision in one folder: it grows by design
VAGUE = {"judge", "look", "together", "some", "one"}
MOST_MODULES = 16  # "about a dozen", with room for one family of files that belongs together


def test_no_public_class_name_occurs_twice() -> None:
    places = defaultdict(list)
    for module in modules().values():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module.path)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_no_public_function_has_a_vague_name() -> None:
    found = [
        f"{module.path}: {node.name}"
        for module in modules().values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and node.name in VAGUE
    ]
    assert found == []


def test_folders_hold_few_modules() -> None:
    sizes = Counter(str(PurePath(module.path).parent) for module in modules().values() if not module.path.endswith("__init__.py"))
    assert {folder: size for folder, size in sizes.items() if size > MOST_MODULES and folder != REVISIONS} == {}
