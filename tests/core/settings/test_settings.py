"""Sources, destinations and defaults of the settings."""

from typing import Any

import pytest

from core.settings.peers.destinations import Destination
from core.settings.peers.sources import Source
from core.settings.settings import Settings
from core.states import ResultKind


@pytest.mark.parametrize(
    ("block", "address", "admitted"),
    [
        ("10.0.0.0/8", "10.200.3.4", True),
        ("10.0.0.0/8", "11.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "::1", False),
    ],
)
def test_a_source_admits_only_addresses_of_its_block(block: str, address: str, admitted: bool) -> None:
    assert Source(ae_title="PACS", host=block).admits(address) is admitted


PACS = {"ae_title": "PACS", "host": "127.0.0.1", "port": 4242}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"folder": "/srv/results"}, "folder /srv/results"),
        ({"stow_url": "https://pacs:8443/dicom-web", "token_file": "/run/token"}, "STOW-RS https://pacs:8443/dicom-web"),
        (
            {"stow_url": "http://127.0.0.1:8042/dicom-web", "user": "node", "password_file": "/run/word"},
            "STOW-RS http://127.0.0.1:8042/dicom-web",
        ),
        ({"stow_url": "https://pacs/rs", "tls": {"ca": "ca.pem", "cert": "c.pem", "key": "k.pem"}}, "STOW-RS https://pacs/rs"),
        (PACS, "PACS at 127.0.0.1:4242"),
        ({**PACS, "tls": {"ca": "ca.pem"}}, "PACS at 127.0.0.1:4242 with TLS"),
        ({**PACS, "tls": {}}, "PACS at 127.0.0.1:4242 with TLS"),
    ],
)
def test_each_kind_of_address_of_a_destination(address: dict[str, Any], words: str) -> None:
    assert Destination.model_validate({"name": "pacs", **address}).address_in_words == words


@pytest.mark.parametrize("objects", [["sr", "seg"], ["heatmap", "pdf"], ["sr"]], ids=["viewer", "plain PACS", "reporting system"])
def test_result_profiles(objects: list[str]) -> None:
    destination = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "objects": objects}
    settings = Settings.model_validate({"destinations": [destination]})
    assert list(settings.destinations[0].objects) == objects
    assert settings.result_profiles == {"pacs": frozenset(ResultKind(kind) for kind in objects)}


def test_the_defaults_admit_no_peer() -> None:
    settings = Settings()
    assert settings.sources == ()
    assert settings.node.host == "127.0.0.1"
