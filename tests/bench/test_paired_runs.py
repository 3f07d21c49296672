"""Order of the runs, ratios, and sections of the page."""

from pathlib import Path

import pytest

from tests.bench import paired_runs


def test_contestants_run_in_turns_and_none_is_always_first() -> None:
    order: list[str] = []
    runs = paired_runs.run_in_turns({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, 2, warm=1)  # type: ignore[func-returns-value]
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert runs == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_a_ratio_above_one_is_better_for_rates_and_times() -> None:
    assert paired_runs.median_ratio([200, 220, 210], [100, 100, 100], better="higher") == paired_runs.Ratio(2.1, 2.0, 2.2)
    assert paired_runs.median_ratio([2.0], [3.0], better="lower").value == 1.5


def test_one_outlier_of_seven_does_not_move_the_interval() -> None:
    found = paired_runs.median_ratio([100, 101, 99, 100, 102, 98, 1000], [100] * 7, better="higher")
    assert 0.97 < found.low <= found.value <= found.high < 1.03


def test_unpaired_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        paired_runs.median_ratio([1.0, 2.0], [1.0], better="higher")


def test_a_section_is_written_once_and_replaced_afterwards(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Head\n\ntext\n")
    paired_runs.write_section("one", "first", page)
    paired_runs.write_section("two", "other", page)
    paired_runs.write_section("one", "second", page)
    assert page.read_text() == (
        "# Head\n\ntext\n\n<!-- bench:one -->\nsecond\n<!-- /bench:one -->\n\n<!-- bench:two -->\nother\n<!-- /bench:two -->\n"
    )


def test_a_section_without_its_end_is_not_changed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- bench:one -->\nby hand\n")
    with pytest.raises(ValueError, match="without"):
        paired_runs.write_section("one", "new", page)
    assert page.read_text().endswith("by hand\n")
