"""``results export``: flat columns, inputs, a header with filter, time and digest, and no formulas for spreadsheets."""

import csv
import hashlib
import io
import json
from pathlib import Path

import pytest

from core.csv_cells import format_csv_cell
from db.engine import Database
from db.operations.results_export import FIELDS, INPUT_FIELDS
from deploy.cli.jobs.flat_rows import flat_rows
from deploy.cli.main import run
from tests.support.records import Sender, claim, complete, deliver_all, finish, plan

pytestmark = pytest.mark.services


@pytest.fixture
def config(tmp_path: Path, database_url: str, database: Database) -> Path:
    """A node with one delivered result of a patient whose identifier is a formula."""
    path = tmp_path / "node.toml"
    path.write_text(f'[database]\nurl = "{database_url}"\n')
    Sender(database).send(1, patient_id="=1+1")
    complete(database, plan())
    finish(database, claim(database))
    deliver_all(database)
    return path


@pytest.mark.parametrize(
    ("value", "cell"),
    [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("-x", "'-x"), ("\tx", "'\tx"), (-1.5, "-1.5"), (None, ""), (["=a"], '["=a"]')],
)
def test_text_that_looks_like_a_formula_is_text(value: object, cell: str) -> None:
    assert format_csv_cell(value) == cell


def test_csv_on_standard_output(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "export", "--format", "csv", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(out))
    assert set(FIELDS) - {"inputs"} <= set(row)
    assert row["patient_id"] == "'=1+1"
    found = {name: row[name] for name in ("x_mm", "y_mm", "z_mm", "diameter_mm", "frame", "image_column", "input_count", "stored_at")}
    assert found == {
        "x_mm": "1.0",
        "y_mm": "2.0",
        "z_mm": "3.0",
        "diameter_mm": "6.5",
        "frame": "1",
        "image_column": "10.5",
        "input_count": "1",
        "stored_at": "pacs (sr)",
    }
    assert row["completion_rule"] == "quiet"
    assert json.loads(row["measurements"])["position_mm"] == [1.0, 2.0, 3.0]  # the columns of before stay
    assert "1 rows of all time, exported at " in err
    assert f"sha256 {hashlib.sha256(out.encode()).hexdigest()}" in err


def test_the_header_as_lines_before_the_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["results", "export", "--head", "--since", "2020-01-01", "--config", str(config)]
    assert run([*options, "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines(keepends=True)
    head, table = [line for line in lines if line.startswith("#")], [line for line in lines if not line.startswith("#")]
    assert lines == head + table
    assert "# since 2020-01-01T00:00:00+00:00\n" in head
    assert "# 1 rows\n" in head
    assert head[-1] == f"# sha256 of the lines below {hashlib.sha256(''.join(table).encode()).hexdigest()}\n"
    assert [row["patient_id"] for row in csv.DictReader(table)] == ["'=1+1"]
    assert run([*options, "--format", "json"]) == 2
    assert "--format csv" in capsys.readouterr().err


def test_inputs_and_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["results", "export", "--config", str(config)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["patient_id"], [one["sop_instance_uid"] for one in row["inputs"]]) == ("=1+1", ["1.2.3.4.1"])
    assert run(["results", "export", "--inputs", "--format", "csv", "--config", str(config)]) == 0
    (given,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert tuple(given) == INPUT_FIELDS
    assert given["sha256"] == row["inputs"][0]["sha256"]


def test_a_folder_gets_results_inputs_and_header(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "export"
    options = ["--since", "2020-01-01", "--format", "csv", "--out", str(out), "--config", str(config)]
    assert run(["results", "export", *options]) == 0
    assert capsys.readouterr().out == ""
    assert {path.stat().st_mode & 0o777 for path in out.iterdir()} == {0o600}  # they hold patient data
    header = json.loads((out / "export.json").read_text())
    assert header["filter"] == {"since": "2020-01-01T00:00:00+00:00"}
    assert [(entry["name"], entry["rows"]) for entry in header["files"]] == [("results.csv", 1), ("inputs.csv", 1)]
    for entry in header["files"]:
        assert entry["sha256"] == hashlib.sha256((out / entry["name"]).read_bytes()).hexdigest()
    assert run(["results", "export", *options, "--inputs"]) == 2
    late = ["--since", "2100-01-01", "--format", "csv", "--config", str(config)]
    assert run(["results", "export", *late]) == 0
    assert capsys.readouterr().out.startswith("study_instance_uid,")  # the columns, also without rows


def test_a_measurement_named_as_a_field_has_a_column_of_its_own() -> None:
    """Imported models name their measurements themselves; the CSV had the value as the probability of the finding."""
    items = [{"name": "Probability", "code": "99X:1", "value": 0.2, "unit": "1"}]
    row = {
        "probability": 0.9,
        "measurements": {"items": items},
        "completion_evidence": None,
        "verdict": None,
        "deliveries": [],
        "inputs": [],
    }
    columns, (flat,) = flat_rows(("probability", "measurements"), [row])
    assert columns.count("probability") == 1
    assert (flat["probability"], flat["probability_measured"]) == (0.9, 0.2)
    assert "probability_measured" in columns
