"""The plan of a federated training: which values are refused, with what was expected, what came and what to do."""

import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigurationError
from training.federated.plan import WHOLE, FederatedPlan


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [-1, 10**12, 2.0, math.nan, math.inf, True, "5", None, [3]])
def test_a_value_that_is_no_whole_number_of_the_range_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} of a federated training must be a whole number from .* to .*, not ") as raised:
        FederatedPlan(**{name: value}).check()
    assert "docs/federated.md" in raised.value.hint
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize("name", WHOLE)
def test_the_ends_of_a_range_are_allowed_and_their_neighbours_are_not(name: str) -> None:
    low, high = WHOLE[name]
    FederatedPlan(**{name: low}).check()  # type: ignore[arg-type]
    FederatedPlan(**{name: high}).check()  # type: ignore[arg-type]
    for outside in (low - 1, high + 1):
        with pytest.raises(ConfigurationError, match=str(outside)):
            FederatedPlan(**{name: outside}).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0.0, -1e-3, 1.5, math.nan, math.inf, -math.inf, True, "0.1", None])
def test_a_learning_rate_that_no_training_can_have_is_refused(rate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"learning_rate .* must be a number above 0 and at most 1, not "):
        FederatedPlan(learning_rate=rate).check()


@pytest.mark.parametrize("scope", ["", "HEAD", None, 1, "x" * 10_000])
def test_another_scope_is_refused_in_a_short_message(scope: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be head or all, not ") as raised:
        FederatedPlan(scope=scope).check()
    assert len(str(raised.value)) < 200


def test_one_site_alone_is_told_what_to_use_instead() -> None:
    with pytest.raises(ConfigurationError, match=r"at least 2 sites, not 1 .*models train"):
        FederatedPlan(min_sites=1).check()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "7", "null", '{"rounds": 1, "more": 2}', '{"rounds": NaN}', '{"learning_rate": NaN}', '{"steps": 1e9}', "[" * 100_000,
     '{"seed": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_a_text_that_is_no_plan_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        FederatedPlan.read(text)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = FederatedPlan(rounds=3, steps=7, scope="all", learning_rate=1e-3, seed=1, min_sites=3, round_s=60)
    plan.write(tmp_path / "plan.json")
    assert FederatedPlan.read((tmp_path / "plan.json").read_text()) == plan
    assert json.loads((tmp_path / "plan.json").read_text()) == asdict(plan)
    assert {field.name for field in fields(plan)} == {*WHOLE, "scope", "learning_rate"}
