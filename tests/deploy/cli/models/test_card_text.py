"""The card of a model at the terminal: nothing is lost, nothing is wider than the terminal, and figures stand below each other."""

import io
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from rich.console import Console

from deploy.cli.main import run
from deploy.cli.models.card_text import card_parts
from deploy.terminal import to_json_types
from models import registry

WIDTH = 80
CARD = {
    "name": "example",
    "temperature": 1.5,
    "limits": ["A sentence that is longer than one line of a terminal of eighty columns, as most sentences of a card are."],
    "metrics": {
        "measured": "on nobody",
        "accuracy": 0.5,
        "ece": 0.0303,
        "n": 975,
        "by_sex": {"F": {"accuracy": 0.5, "n": 445}, "M": {"accuracy": 0.8333, "n": 25}},
    },
    "reference": {},
}


def printed(document: Mapping[str, Any], width: int = WIDTH) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    for part in card_parts(document, width):
        console.print(part)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_figures_stand_below_each_other_with_the_same_decimals() -> None:
    lines = printed(CARD)
    figures = [line.split() for line in lines if line.split()[:1] in (["accuracy"], ["ece"], ["n"])]
    assert figures == [["accuracy", "0.5000"], ["ece", "0.0303"], ["n", "975"], ["accuracy", "n"]]
    ends = {len(line) for line in lines if line.split()[:1] in (["accuracy"], ["ece"], ["n"]) and line.split()[-1] != "n"}
    assert len(ends) == 1, "aligned at the right side"
    head = next(place for place, line in enumerate(lines) if line.split() == ["accuracy", "n"])
    rows = lines[head + 1 : head + 3]
    assert [row.split() for row in rows] == [["F", "0.5000", "445"], ["M", "0.8333", "25"]]
    assert {row.index(".") for row in rows} == {rows[0].index(".")}
    assert len(rows[0]) == len(rows[1]) == len(lines[head])
    assert "reference" not in lines


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("width", [WIDTH, 200])
def test_a_card_fits_the_terminal_and_nothing_of_it_is_missing(name: str, width: int) -> None:
    document = to_json_types({**asdict(registry.card(name)), "digest": registry.pipeline_digest(name)})
    lines = printed(document, width)
    assert max(map(len, lines)) <= width
    text = re.sub(r"\s+", "", "".join(lines))
    for said in (*document["limits"], document["not_for"], document["metrics"]["measured"], document["weights_sha256"], document["digest"]):
        assert re.sub(r"\s+", "", said) in text
    for label in document["labels"]:
        assert re.sub(r"\s+", "", label["advice"]) in text


def test_the_command_prints_the_card_for_people_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "show", "lung_nodule_ct"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "false_positives_per_scan" in captured.err


def test_a_table_that_just_fits_is_a_table() -> None:
    rows = {f"name {n}": {"first figure": 0.5, "second figure": 0.25, "n": 10 + n} for n in range(3)}
    fits = 2 + len("name 0") + 1 + len("figure") + 1 + len("second") + 1 + len("10")
    for width, lines in ((fits + 3, 6), (fits, 6), (fits - 1, 13)):
        shown = printed({"by_name": rows}, width)
        assert max(map(len, shown)) <= width
        assert len(shown) == lines, width
        if lines == 6:
            assert [line.split() for line in shown[-3:]] == [["name", str(n), "0.5", "0.25", str(10 + n)] for n in range(3)]


def test_no_column_of_a_real_card_is_cut() -> None:
    card = to_json_types(asdict(registry.card("dermoscopy_7class")))
    lines = [line.split() for line in printed(card)]
    for name, figures in card["metrics"]["by_site"].items():
        (row,) = [line for line in lines if line[:-8] == name.split() and line[-1] == str(figures["n"])]
        assert float(row[-8]) == figures["balanced_accuracy"]
