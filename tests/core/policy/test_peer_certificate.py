"""Which certificate fits a pin."""

import pytest
from pydantic import ValidationError

from core.policy.admission import WRONG_CERTIFICATE, caller_rights, check_association
from core.policy.peer_certificate import PeerCertificate, fits_pin
from core.settings.peers.sources import PinnedCertificate, Source
from core.settings.settings import Settings

PACS = PeerCertificate("CN=pacs,O=Hospital", frozenset({"pacs.example", "10.0.0.5"}), "ab" * 32)
OTHER = PeerCertificate("CN=other", frozenset({"other.example"}), "cd" * 32)


@pytest.mark.parametrize(
    "pin",
    [
        {"san": "PACS.example"},
        {"san": "10.0.0.5"},
        {"subject": "CN=pacs,O=Hospital"},
        {"sha256": ":".join(["AB"] * 32)},
        {"sha256": "sha256 Fingerprint=" + ":".join(["AB"] * 32)},
        {"san": "pacs.example", "subject": "CN=pacs,O=Hospital", "sha256": "ab" * 32},
    ],
)
def test_a_certificate_fits_its_pin_and_another_does_not(pin: dict[str, str]) -> None:
    pinned = PinnedCertificate(**pin)
    assert fits_pin(PACS, pinned)
    assert not fits_pin(OTHER, pinned)
    assert not fits_pin(None, pinned)


def test_everything_that_is_pinned_must_be_so() -> None:
    assert not fits_pin(PACS, PinnedCertificate(san="pacs.example", subject="CN=other"))


def test_no_other_certificate_may_use_the_title() -> None:
    sources = (Source(ae_title="PACS", host="10.0.0.0/8", certificate=PinnedCertificate(san="pacs.example")),)
    for certificate, expected in ((PACS, None), (OTHER, WRONG_CERTIFICATE), (None, WRONG_CERTIFICATE)):
        rejection = check_association(
            calling_ae="PACS", called_ae="NODE", address="10.0.0.5", our_ae="NODE", sources=sources, open_now=0, limit=2,
            certificate=certificate,
        )  # fmt: skip
        assert rejection == expected
        rights = caller_rights(calling_ae="PACS", address="10.0.0.5", sources=sources, certificate=certificate)
        assert rights.may_store is (expected is None)


def test_a_pin_needs_client_certificates_and_holds_for_the_whole_title() -> None:
    source = {"ae_title": "PACS", "host": "10.0.0.0/8", "certificate": {"san": "pacs.example"}}
    with pytest.raises(ValidationError, match="require_client_cert"):
        Settings.model_validate({"sources": [source]})
    tls = {"node": {"tls": {"cert": "c", "key": "k", "ca": "a"}}}
    assert Settings.model_validate({"sources": [source], **tls}).sources[0].certificate is not None
    with pytest.raises(ValidationError, match="only one of them pins"):
        Settings.model_validate({"sources": [source, {"ae_title": "PACS", "host": "10.0.0.5"}], **tls})
    for certificate in ({}, {"sha256": "abc"}):
        with pytest.raises(ValidationError):
            Settings.model_validate({"sources": [{**source, "certificate": certificate}], **tls})
