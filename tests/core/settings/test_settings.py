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


@pytest.mark.parametrize(
    "address",
    [
        {"folder": "/srv/results"},
        {"stow_url": "https://pacs:8443/dicom-web", "token_file": "/run/secrets/token"},
        {"stow_url": "http://127.0.0.1:8042/dicom-web", "user": "node", "password_file": "/run/secrets/word"},
        {"stow_url": "https://pacs/dicom-web", "tls": {"ca": "ca.pem", "cert": "c.pem", "key": "k.pem"}},
        {"ae_title": "PACS", "host": "127.0.0.1", "port": 4242, "tls": {"ca": "ca.pem"}},
    ],
)
def test_each_kind_of_address_of_a_destination(address: dict[str, Any]) -> None:
    assert Destination.model_validate({"name": "pacs", **address}).name == "pacs"


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
