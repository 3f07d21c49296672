"""``destinations echo`` with a destination that does not answer, and with a name that no destination has."""

from pathlib import Path

import pytest

from deploy.cli.main import run

CONFIG = """
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "node.toml"
    path.write_text(CONFIG)
    return str(path)


def test_a_destination_that_does_not_answer_is_listed_with_what_to_check(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["destinations", "echo", "--config", config]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert any("connection refused" in line for line in lines)
    assert lines[-1] == "pacs: is it running, is the port right, does a firewall block it?"


def test_an_unknown_name_is_refused_with_the_names_that_there_are(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["destinations", "echo", "research", "--config", config]) == 2
    assert "no [[destinations]] is named 'research' (there are: pacs)" in capsys.readouterr().err
