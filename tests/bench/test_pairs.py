"""The arithmetic of the benchmarks: who runs when, what a ratio says, what is written where."""

from pathlib import Path

import pytest

from tests.bench import pairs


def test_contestants_take_turns_and_none_is_always_first() -> None:
    order: list[str] = []
    runs = pairs.alternate({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, 2, warm=1)  # type: ignore[func-returns-value]
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert runs == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_a_ratio_above_one_is_good_for_rates_and_times() -> None:
    assert pairs.ratio([200, 220, 210], [100, 100, 100], better="higher") == pairs.Ratio(2.1, 2.0, 2.2)
    assert pairs.ratio([2.0], [3.0], better="lower").value == 1.5


def test_one_strange_round_of_seven_does_not_move_the_interval_to_it() -> None:
    found = pairs.ratio([100, 101, 99, 100, 102, 98, 1000], [100] * 7, better="higher")
    assert 0.97 < found.low <= found.value <= found.high < 1.03


def test_unpaired_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        pairs.ratio([1.0, 2.0], [1.0], better="higher")


def test_a_section_is_written_once_and_replaced_afterwards(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n\ntext\n")
    pairs.write_section("one", "first", page)
    pairs.write_section("two", "other", page)
    pairs.write_section("one", "second", page)
    assert page.read_text() == (
        "# Head\n\ntext\n\n<!-- bench:one -->\nsecond\n<!-- /bench:one -->\n\n<!-- bench:two -->\nother\n<!-- /bench:two -->\n"
    )


def test_a_section_without_its_end_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:one -->\nby hand\n")
    with pytest.raises(ValueError, match="without"):
        pairs.write_section("one", "new", page)
    assert page.read_text().endswith("by hand\n")
