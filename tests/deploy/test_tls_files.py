"""TLS files are checked before any server starts, and what is missing is named."""

import json
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.cli.main import run
from deploy.tls_files import check_tls_files, find_problems, fix_for
from tests.support.certificates import Authority

MISSING = "/absent/ca.pem"


def test_usable_files_are_no_problem(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.sign("node")
    tls = {"cert": cert, "key": key, "ca": authority.ca}
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "tls": {"ca": authority.ca, "cert": cert, "key": key}}
    check_tls_files(Settings.model_validate({"node": {"tls": tls}, "console": {"tls": tls}, "destinations": [pacs]}))


def test_every_file_that_is_missing_is_named(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).sign("node")
    peer = {"ae_title": "PACS", "host": "127.0.0.1", "port": 104, "tls": {"ca": MISSING}}
    settings = Settings.model_validate(
        {
            "node": {"tls": {"cert": cert, "key": key, "ca": MISSING}},
            "webhook": {"url": "https://hook.example", "ca": MISSING},
            "sources": [{"ae_title": "PACS", "host": "127.0.0.1", "query": peer}],
            "destinations": [{"name": "pacs", **peer}],
        }
    )
    found = find_problems(settings)
    for place in ("node.tls.ca", "webhook.ca", "sources.PACS.query.PACS.tls.ca", "destinations.pacs.tls.ca"):
        assert f"{place}: {MISSING}: no such file or directory" in [one.replace("query.tls", "query.PACS.tls") for one in found], place
    assert len(found) == 4


def test_files_that_do_not_belong_together_are_a_problem(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (cert, _), (_, key) = authority.sign("one"), authority.sign("two")
    with pytest.raises(ConfigurationError, match=r"node\.tls: .*key"):
        check_tls_files(Settings.model_validate({"node": {"tls": {"cert": cert, "key": key, "ca": authority.ca}}}))


def test_a_file_that_may_not_be_read_is_not_searched_for() -> None:
    assert fix_for("node.tls.key: /etc/node.key: permission denied") == "let the account that runs the node read it"
    assert "correct the path" in fix_for("node.tls.key: /etc/node.key: no such file or directory")


def test_doctor_and_up_name_the_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\ndata_dir = "{tmp_path / "data"}"\nport = 0\ntls = {{ cert = "{MISSING}", key = "{MISSING}", ca = "{MISSING}" }}\n'
    )
    assert run(["doctor", "--json", "--config", str(config)]) == 1
    checks = [check for check in json.loads(capsys.readouterr().out) if check["check"] == "TLS files"]
    assert any("node.tls.cert" in check["found"] and MISSING in check["found"] for check in checks)
    assert run(["up", "--config", str(config)]) == 2
    assert "node.tls.cert: /absent/ca.pem: no such file" in capsys.readouterr().err
    assert not (tmp_path / "data" / "postgresql").exists()  # no server was started
