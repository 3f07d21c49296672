"""The documentation says what is there: commands, links, settings, files."""

import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from core.settings.settings import Settings
from deploy import VERSION
from deploy.cli.main import build_app
from deploy.settings_file import load_settings

ROOT = Path(__file__).parents[2]
NOT_OURS = {".venv", ".git", ".github", "data", "demo-data", "out", "build", "dist", "secrets", "node_modules"}
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MAX_LINES = 400
ids = [str(page.relative_to(ROOT)) for page in PAGES]


def _code(page: Path) -> str:
    """Everything that stands in a code span or a code block, one piece a line."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *spans])


def _ours(*suffixes: str) -> Iterator[Path]:
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [name for name in inside if not (name in NOT_OURS or name.startswith(".venv") or name.endswith(".egg-info"))]
        yield from (Path(folder, name) for name in names if name.endswith(suffixes))


def test_the_readme_starts_with_the_two_commands_and_a_picture() -> None:
    text = (ROOT / "README.md").read_text()
    first_block = re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert first_block is not None
    assert [line.split("#")[0].strip() for line in first_block[1].splitlines()] == ["make demo", "make test"]
    before_first_section = text.split("\n## ")[0]
    assert "![" in before_first_section
    assert "not for clinical use" in before_first_section


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|[\s;&])make ([a-z][a-z-]*)", _code(page), re.MULTILINE))
    assert named <= targets


@cache
def _commands() -> set[str]:
    """Every command with its groups: ``up``, ``jobs``, ``jobs list``."""

    def walk(command: Any, path: str) -> Iterator[str]:
        yield path
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, f"{path} {name}".strip())

    return set(walk(typer.main.get_command(build_app()), ""))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_exists(page: Path) -> None:
    commands = _commands()
    groups = {command.split()[0] for command in commands if " " in command}
    for line in re.findall(r"(?:^|[\s/])(?<!-n )dicom-node ([a-z][^\n|]*)", _code(page), re.MULTILINE):  # not kubectl's namespace
        first, *rest = line.split()
        assert first in commands, f"dicom-node {line}"
        if first in groups and rest and re.fullmatch(r"[a-z]+", rest[0]):
            assert f"{first} {rest[0]}" in commands, f"dicom-node {line}"


def test_the_readme_names_every_command() -> None:
    words = set(re.findall(r"[a-z]+", _code(ROOT / "README.md")))
    assert {command.split()[0] for command in _commands() if command} <= words | {"demo"}


def _anchor(heading: str) -> str:
    """The anchor that GitHub and GitLab give a heading."""
    text = re.sub(r"`|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_resolve(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, fragment = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert path.is_relative_to(ROOT), target
        if fragment:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert fragment in {_anchor(heading) for heading in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_named_files_exist(page: Path) -> None:
    packages = "core|db|imaging|models|training|dicom_node|workers|console|deploy|tests|docs|requirements"
    for path in re.findall(rf"(?:^|[\s`(])((?:{packages})/[\w./-]+\.(?:py|toml|md|sh|json|txt|yml))\b", _code(page), re.MULTILINE):
        assert (ROOT / path).exists(), path


def _keys(model: type[BaseModel], place: str = "") -> dict[str, Any]:
    """``section.key`` to its field, through optional tables and lists of tables."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        where = f"{place}.{name}".removeprefix(".")
        inner = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)]
        found.update(_keys(inner[0], where) if inner else {where: field})
    return found


KEYS = _keys(Settings)


@cache
def _documented() -> dict[str, str]:
    """``section.key`` to its default, as docs/configuration.md says."""
    found: dict[str, str] = {}
    section = ""
    for line in (ROOT / "docs/configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `\[+([\w.]+)\]+`", line):
            section = heading[1]
        elif line.startswith("## "):
            section = ""
        elif section and (row := re.match(r"\| `(\w+)` \| (.*?) \|", line)):
            found[f"{section}.{row[1]}"] = row[2]
    # A table in a table (sources.query) has a row where it stands and a section of its own.
    return {key: value for key, value in found.items() if not any(other.startswith(f"{key}.") for other in found)}


def test_the_configuration_reference_has_exactly_the_settings() -> None:
    assert set(_documented()) == set(KEYS)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_the_configuration_reference_has_the_default(key: str) -> None:
    said, field = _documented()[key], KEYS[key]
    if field.is_required():
        assert said == "required"
    elif field.default is None:
        assert said == "none"
    else:
        (value,) = tomllib.loads(f"value = {said.strip('`')}").values()
        expected = list(field.default) if isinstance(field.default, tuple) else field.default
        assert value == (str(expected) if isinstance(expected, Path) else expected)


def test_the_configuration_examples_load(tmp_path: Path) -> None:
    """Every TOML block of the documentation that has a table of its own is a whole, valid configuration."""
    loaded = 0
    for page in PAGES:
        for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if re.search(r"^\[", block, re.MULTILINE) and not block.startswith("# about.toml"):
                (tmp_path / "node.toml").write_text(block)
                load_settings(tmp_path / "node.toml", {})
                loaded += 1
    assert loaded


def test_files_are_short_enough() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _ours(".py", ".html", ".css", ".sh", ".toml", ".md")
    }
    assert len(lengths) > 50
    for generated in ("docs/configuration.md", "docs/conformance.md", "docs/schema.md"):
        del lengths[generated]
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_index_of_the_documentation_names_every_page() -> None:
    folder = ROOT / "docs"
    linked = set(re.findall(r"\]\(([\w/.-]+\.md)\)", (folder / "README.md").read_text()))
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md") if page.parent != folder / "decisions"}
    assert pages - linked == {"README.md"}


def test_the_picture_is_a_picture_with_words_for_those_who_cannot_see_it() -> None:
    text = (ROOT / "docs/pictures/flow.svg").read_text()
    assert text.startswith("<svg ")
    assert "<title " in text
    assert "<desc " in text


def test_the_version_is_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert version == VERSION
    assert f"## [{version}]" in changelog or "## [Unreleased]" in changelog


def test_the_licence_is_apache_2() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_lines_of_the_measurements_are_short() -> None:
    text = (ROOT / "docs" / "measurements.md").read_text()
    assert [line for line in text.splitlines() if len(line) > 200] == []
