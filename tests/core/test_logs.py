"""Logs contain no patient data and no UIDs."""

import ast
import io
import json
import logging
import sys
import warnings
from pathlib import Path

import pytest
import structlog

from core import logs

ROOT = Path(__file__).parents[2]
LEVELS = ("debug", "info", "warning", "error", "critical")
UID = "1.3.6.1.4.1.14519.5.2.1.7009.2403.1"


@pytest.fixture
def log_output(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    buffer = io.StringIO()
    monkeypatch.setattr(sys, "stderr", buffer)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure_logging(level="info", style="json", role="test")
    yield buffer
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_only_values_of_safe_keys_are_written(log_output: io.StringIO) -> None:
    structlog.get_logger().info(
        "stored", patient_name="Doe^Jane", study_uid=UID, calling_ae="PACS", reason=f"series {UID} of Doe^Jane is whole"
    )
    text = log_output.getvalue()
    event = json.loads(text)
    assert event["calling_ae"] == "PACS"
    assert event["patient_name"].startswith("#")
    for secret in ("Doe", "Jane", UID):
        assert secret not in text


def test_messages_of_libraries_and_warnings_are_redacted(log_output: io.StringIO) -> None:
    logging.getLogger("pynetdicom.assoc").error("aborted for %s of Doe^Jane", UID)
    try:
        raise ValueError("Doe^Jane")
    except ValueError:
        logging.getLogger("library").exception("failed")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.warn(f"Invalid value for VR DA: '19700231' of {UID}", stacklevel=1)
    text = log_output.getvalue()
    assert len(text.splitlines()) == 3
    assert "ValueError" in text
    assert "a library warned: test_logs.py:" in text
    assert "UserWarning" in text
    for secret in ("Doe", "Jane", UID, "19700231"):
        assert secret not in text


def test_a_fingerprint_distinguishes_two_values() -> None:
    assert logs.fingerprint("a") == logs.fingerprint("a") != logs.fingerprint("b")


def test_every_fact_that_is_logged_can_be_read() -> None:
    """A key that `SAFE_KEYS` does not have would be written as a hash, also where its value is a number of seconds."""
    hashed = {}
    for package in ("core", "db", "imaging", "models", "dicom_node", "workers", "console", "training", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS and "log" in ast.unparse(call.func.value).lower():
                    unknown = {word.arg for word in call.keywords} - logs.SAFE_KEYS - {"exc_info", None}
                    hashed |= {f"{path.name}:{call.lineno}": unknown} if unknown else {}
    assert hashed == {}


def test_a_line_is_written_at_once(log_output: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles of one node share standard error, which containers do not buffer: text and end of line, written apart, came between others."""
    written: list[str] = []
    monkeypatch.setattr(log_output, "write", written.append)
    structlog.get_logger().info("stored")
    (line,) = written
    assert line.endswith("}\n")
