"""The command line: usage and configuration errors are one line with exit status 2; standard output is for programs."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from deploy.cli.main import build_app, run
from tests.support import node_toml

COMMANDS = [
    *("up", "listen", "conduct", "relay", "worker", "send", "console", "reload", "demo", "doctor", "predict", "photograph", "conformance"),
    "trial",
    *("models list", "models show", "models verify", "models train", "models evaluate", "models crossval", "models docs", "rules test"),
    *("models import", "models activate", "models shadow", "models retire", "models rollback", "models compare", "models drift"),
    *("jobs list", "jobs show", "jobs requeue", "jobs cancel", "deliveries list", "deliveries retry", "results export"),
    *("audit verify", "audit export", "db upgrade", "db wait", "db backup", "db restore", "destinations echo", "quarantine list"),
    *("retention run", "quarantine requeue", "rules unrouted", "rules requeue"),
    *("commitments list", "commitments retry", "commitments give-up"),
    *("routes list", "routes pause", "routes resume", "destinations pause", "destinations resume"),
    *("users add", "users invite", "users list", "users disable", "users password", "users link", "db auditor", "jobs release"),
    "users remove-second-factor",
    *("users token add", "users token list", "users token revoke"),
    *("train federated kits", "train federated server", "train federated client", "train federated export"),
    *("jobs rerun", "deliveries resend", "deliveries give-up", "audit months", "audit archive", "audit restore"),
    *("patients access", "patients erase"),
]
LISTINGS = [
    *("models list", "models compare", "models drift", "jobs list", "deliveries list", "results export", "audit export", "rules test"),
    *("destinations echo", "doctor", "reload", "quarantine list", "retention run", "rules unrouted", "routes list", "users list"),
    *("jobs rerun", "deliveries resend", "deliveries give-up", "audit months", "commitments list", "patients access", "patients erase"),
]


def single_error_line(captured: pytest.CaptureFixture[str]) -> str:
    """Standard error: exactly one line, no traceback; standard output: nothing."""
    out, err = captured.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("dicom-node: ")
    assert "Traceback" not in err
    return err


def test_help_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """A section in brackets is not taken for markup, and no first sentence is cut off."""
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert "[retention]" in text
    assert "..." not in text.replace("[ARGS]...", "")


@pytest.mark.parametrize("group", sorted({command.rpartition(" ")[0] for command in COMMANDS} - {""}))
def test_no_first_sentence_of_a_group_is_cut_off(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*group.split(), "--help"]) == 0
    assert "..." not in capsys.readouterr().out.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: dicom-node " + command in " ".join(text.split())
    assert re.search(r"<(str|int|float|path|list\[)", text) is None  # types of Python


@pytest.mark.parametrize("command", LISTINGS)
def test_every_listing_has_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([*command.split(), "--help"])
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Missing command"),
        (["nonsense"], "No such command 'nonsense'"),
        (["jobs"], "Missing command"),
        (["jobs", "show"], "ID"),
        (["jobs", "show", "abc"], "'ID'"),
        (["jobs", "list", "--state", "lost"], "--state"),
        (["predict", "no_such_model", "x.dcm"], "dermoscopy_7class"),
        (["predict", "dermoscopy_7class"], "PATH"),
        (["predict", "dermoscopy_7class", "/no/such/file"], "/no/such/file does not exist"),
        (["models", "show", "no_such_model"], "no_such_model"),
        (["models", "train", "dermoscopy_7class", "--out", "x"], "--data"),
        (["models", "evaluate", "dermoscopy_7class", "--data", "/no/such/folder"], "/no/such/folder is not a folder"),
        (["results", "export", "--since", "yesterday"], "--since"),
        (["results", "export", "--format", "xml"], "--format"),
        (["demo", "--ct", "/no/such/folder"], "/no/such/folder is not a folder"),
        (["up", "--nonsense"], "--nonsense"),
        (["models", "import", "/no/such/bundle"], "/no/such/bundle does not exist"),
        (["db", "restore", "/no/such/file"], "/no/such/file does not exist"),
        (["photograph", "x.jpg", "--out", "x", "--birth-date", "1.2.1970"], "'1.2.1970' is no date such as 2026-01-31"),
        (["photograph", "x.jpg", "--out", "x", "--sex", "female"], "'female' is not one of 'F', 'M', 'O'"),
        (["users", "add", " anna", "--role", "admin"], "' anna' cannot sign in"),
        (["jobs", "list", "--limit", "many"], "'--limit': expected a whole number ("),
        (["jobs", "list", "--limit", "0"], "'--limit': expected greater than or equal to 1"),
        (["train", "federated", "client", "kit", "--data", "x", "--epsilon", "low"], "'--epsilon': expected a number ("),
        (["jobs", "list", "--state", "lost"], "'--state': 'lost' is not one of 'queued'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert expected in single_error_line(capsys)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[node]\nprot = 104\n", "node.prot: unknown key"),
        ("[nodes]\n", "nodes: unknown key"),
        ('[node]\nae_title = "MUCH TOO LONG A TITLE"\n', "node.ae_title"),
        ("[node\n", "cannot be read"),
        ('[[routes]]\nname = "a"\nmodel = "m"\ndestinations = ["x"]\nwhen = { Modality = "CT" }\n', "no [[destinations]] names"),
    ],
)
@pytest.mark.parametrize("command", ["up", "listen", "doctor", "jobs list", "rules test ."])
def test_a_wrong_configuration_is_one_line_and_exit_2(
    command: str, text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(text)
    assert run([*command.split(), "--config", str(config)]) == 2
    line = single_error_line(capsys)
    assert expected in line
    assert str(config) in line


@pytest.mark.parametrize("command", ["up", "rules test ."])
def test_a_route_to_a_model_that_is_not_installed(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(node_toml.pacs(104) + node_toml.chest_route("dermoscopy_7clas", name="skin"))
    assert run([*command.split(), "--config", str(config)]) == 2
    line = single_error_line(capsys)
    assert "route 'skin' names model 'dermoscopy_7clas'" in line
    assert "dermoscopy_7class" in line


@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_gpu_that_is_required_and_absent(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[worker]\ndevice = "cuda"\n[database]\nurl = "postgresql://127.0.0.1:1/none"\n')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert run([command, "--config", str(config)]) == 2
    line = single_error_line(capsys)
    assert "worker.device is cuda, and CUDA_VISIBLE_DEVICES hides every GPU" in line
    assert "set worker.device to auto or cpu" in line


def test_a_configuration_file_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["up", "--config", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in single_error_line(capsys)


def test_the_configuration_is_found_through_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(tmp_path / "named.toml"))
    assert run(["jobs", "list"]) == 2
    assert "named.toml" in single_error_line(capsys)


def test_an_unknown_setting_in_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_NODE__PROT", "104")
    assert run(["jobs", "list"]) == 2
    assert "the environment's DICOM_NODE_NODE__PROT: unknown key" in single_error_line(capsys)


@pytest.mark.parametrize("command", ["jobs list", "deliveries list", "results export", "audit verify", "send", "relay"])
def test_without_a_database_the_error_names_what_to_do(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text("")
    assert run([*command.split(), "--config", str(config)]) == 2
    line = single_error_line(capsys)
    assert "database.url" in line
    assert "dicom-node up" in line


def test_a_folder_that_cannot_be_written_is_one_line(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["results", "export", "--out", "/proc/no_folder"]) == 1
    assert single_error_line(capsys).startswith("dicom-node: /proc/no_folder: ")


def test_an_unreachable_database_is_exit_1_and_hides_the_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert run(["jobs", "list"]) == 1
    line = single_error_line(capsys)
    assert "secret" not in line
    assert "repeated" not in line  # a role would repeat it; the command has ended
    assert "run the command again" in line


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        (["jobs", "list"], []),
        (["deliveries", "list"], []),
        (["results", "export"], []),
    ],
)
def test_an_empty_node_lists_nothing_as_json(
    arguments: list[str], shape: object, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == shape


def test_tables_for_people_go_to_standard_error(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["jobs", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "jobs: 0" in err


@pytest.mark.parametrize("arguments", [["jobs", "requeue", "4711"], ["jobs", "cancel", "4711"], ["deliveries", "retry", "4711"]])
def test_unknown_ids_are_exit_1_with_the_reason(
    arguments: list[str], database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(arguments) == 1
    said = capsys.readouterr().err
    assert "0 of 1" in said
    assert f"there is no {arguments[0].replace('jobs', 'job').replace('deliveries', 'delivery')} 4711" in said


def test_the_audit_trail_verifies(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["audit", "verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_results_as_csv_have_a_header(database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["results", "export", "--format", "csv"]) == 0
    columns = capsys.readouterr().out.splitlines()[0].split(",")
    for name in (
        *("study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number", "patient_id", "modality", "job_id"),
        *("job_state", "outcome", "reason", "revision", "model", "model_version", "model_digest", "finding", "finding_code"),
        *("probability", "tier", "measurements", "sr_sop_instance_uid", "deliveries", "received_at", "completed_at"),
        *("completion_evidence", "inferred_at", "reported_at"),
    ):
        assert name in columns


def test_a_closed_pipe_gives_no_traceback() -> None:
    script = (
        "import sys; from deploy.cli.main import main; sys.argv = ['dicom-node', 'models', 'show', 'dermoscopy_7class', '--json']; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(600)
    assert "Traceback" not in errors


def test_the_list_of_commands_is_complete() -> None:
    assert sorted(command_names(build_app())) == sorted(COMMANDS)


def command_names(app: typer.Typer) -> Iterator[str]:
    """All commands, those of groups with the name of the group before them."""
    for command in app.registered_commands:
        yield command.name or (command.callback.__name__ if command.callback else "")
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from (f"{group.name} {name}" for name in command_names(group.typer_instance))
