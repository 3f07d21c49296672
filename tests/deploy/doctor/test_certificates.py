"""``doctor`` names certificates that have expired or end soon."""

from datetime import timedelta
from pathlib import Path

from core.settings.settings import Settings
from deploy.doctor.certificates import check_certificates
from deploy.doctor.check import Check
from tests.support.certificates import Authority


def _checks(cert: Path, key: Path, ca: Path) -> list[Check]:
    return list(check_certificates(Settings.model_validate({"node": {"tls": {"cert": cert, "key": key, "ca": ca}}})))


def test_a_certificate_that_ends_soon_is_named_and_is_no_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (check,) = _checks(*authority.sign("node", ends=timedelta(days=1, hours=12)), authority.ca)
    assert check.ok
    assert check.found.startswith("2 valid, the first until ")
    assert check.found.endswith("(node.tls.cert)")
    assert check.fix.startswith("renew it before ")


def test_an_expired_certificate_is_a_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.sign("node", ends=timedelta(hours=-1))
    expired, rest = _checks(cert, key, authority.ca)
    assert not expired.ok
    assert f"node.tls.cert: {cert} expired on " in expired.found
    assert "renew it" in expired.fix
    assert rest.ok
    assert rest.found.startswith("1 valid")


def test_a_chain_ends_with_its_first_certificate_and_authorities_with_their_last(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    expired, key = authority.sign("expired", ends=timedelta(hours=-1))
    chain, bundle = tmp_path / "chain.pem", tmp_path / "bundle.pem"
    for path in (chain, bundle):
        path.write_bytes(authority.ca.read_bytes() + expired.read_bytes())
    assert [check.ok for check in _checks(chain, key, bundle)] == [False, True]


def test_without_certificates_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert list(check_certificates(Settings())) == []
    assert _checks(tmp_path / "absent.pem", tmp_path / "absent.key", tmp_path / "absent.pem") == []
