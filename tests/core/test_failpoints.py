"""Labelled steps: each in one place, watched by tests alone, and nothing that a configuration could reach."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.failpoints import STEPS, step, watch
from deploy.settings_file import load_settings

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "db", "imaging", "models", "dicom_node", "workers", "console", "deploy")


def nodes() -> Iterator[ast.AST]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            yield from ast.walk(ast.parse(path.read_text()))


def test_every_label_stands_at_one_place_of_the_program() -> None:
    calls = [node for node in nodes() if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "step"]
    assert Counter(str(ast.literal_eval(call.args[0])) for call in calls) == Counter(STEPS.keys())


def test_nothing_in_the_program_watches() -> None:
    imported = [node for node in nodes() if isinstance(node, ast.ImportFrom) and node.module == "core.failpoints"]
    assert {alias.name for node in imported for alias in node.names} == {"step"}


def test_a_step_is_told_to_who_watches_and_else_does_nothing() -> None:
    seen: list[tuple[str, str]] = []
    step("blob.linked")
    watch(lambda name, subject: seen.append((name, subject)))
    try:
        step("worker.claimed", "1.2.3")
    finally:
        watch(None)
    step("blob.linked")
    assert seen == [("worker.claimed", "1.2.3")]


def test_no_variable_of_ours_turns_faults_on() -> None:
    with pytest.raises(ConfigurationError, match="no setting has"):
        load_settings(None, {"DICOM_NODE_CHAOS_KILL": "blob.linked"})
