"""Failpoints: each at one place of the program, watched by tests only, and out of reach of any configuration."""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from core.errors import ConfigurationError
from core.failpoints import FAILPOINTS, failpoint, set_watcher
from deploy.settings_file import load_settings
from tests.structure.product import modules


def _product_nodes(word: str) -> Iterator[ast.AST]:
    """Nodes of the modules whose text has the word."""
    for module in modules().values():
        if word in module.text:
            yield from ast.walk(module.tree)


def test_every_label_stands_at_one_place_of_the_program() -> None:
    calls = [
        node
        for node in _product_nodes("failpoint(")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint"
    ]
    assert Counter(str(ast.literal_eval(call.args[0])) for call in calls) == Counter(FAILPOINTS.keys())


def test_the_program_sets_no_watcher() -> None:
    imported = [node for node in _product_nodes("failpoints") if isinstance(node, ast.ImportFrom) and node.module == "core.failpoints"]
    assert {alias.name for node in imported for alias in node.names} == {"failpoint"}


def test_a_failpoint_calls_the_watcher_and_nothing_without_one() -> None:
    calls: list[tuple[str, str]] = []
    failpoint("blob.linked")
    set_watcher(lambda name, subject: calls.append((name, subject)))
    try:
        failpoint("worker.claimed", "1.2.3")
    finally:
        set_watcher(None)
    failpoint("blob.linked")
    assert calls == [("worker.claimed", "1.2.3")]


def test_no_environment_variable_enables_faults() -> None:
    with pytest.raises(ConfigurationError, match="no setting has"):
        load_settings(None, {"DICOM_NODE_CHAOS_KILL": "blob.linked"})
