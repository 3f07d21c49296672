"""Alerts are shown in words."""

import pytest

from console.alert_words import ALERTS, alert_words
from db.operations.alerts import Alert
from db.receive.backlog import PAUSED
from dicom_node.notify.alert_monitor import KINDS


def test_every_kind_of_alert_has_words() -> None:
    assert set(ALERTS) == {*KINDS, PAUSED}


@pytest.mark.parametrize(
    ("kind", "subject", "said"),
    [
        ("destination.away", "pacs", "A destination does not answer: pacs"),
        ("disk.low", "", "Little disk space is left"),
        ("receive.paused", "disk", "Receiving is paused: the disk is nearly full"),
        ("units.without_result", "unreadable", "Series or images ended without a job: the header cannot be read"),
        ("units.unreadable", "", "Series or images wait: their files are missing or cannot be read"),
        ("of.a.newer.version", "x", "of.a.newer.version: x"),
    ],
)
def test_an_alert_says_what_is_wrong_and_where(kind: str, subject: str, said: str) -> None:
    assert alert_words(Alert(kind, subject, 1.0, {})) == said
