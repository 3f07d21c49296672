"""Checks until when the certificates of the configuration are valid: peers refuse an expired one, and the node itself does not notice."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from core.clock import system_clock
from core.settings.settings import Settings
from deploy.doctor.check import Check
from deploy.tls_files import certificate_files

RENEW_BEFORE = timedelta(days=30)


def check_certificates(settings: Settings) -> Iterator[Check]:
    """Check every certificate that the configuration names; one that ends within 30 days is no fault yet, but ``fix`` names it."""
    now = system_clock()
    ends: list[tuple[datetime, str]] = []
    for setting, path in certificate_files(settings):
        valid = _validity(setting, path)
        if valid is None:
            continue  # "TLS files" says what is wrong with it
        begin, end = valid
        if not begin <= now < end:
            found = f"{setting}: {path.absolute()} {f'expired on {end:%Y-%m-%d}' if now >= end else f'is valid from {begin:%Y-%m-%d} on'}"
            yield Check("certificates", False, found, "renew it, or correct the clock; restart the role whose own port uses it")
        else:
            ends.append((end, setting))
    if ends:
        end, setting = min(ends)
        fix = f"renew it before {end:%Y-%m-%d}" if end - now < RENEW_BEFORE else ""
        yield Check("certificates", True, f"{len(ends)} valid, the first until {end:%Y-%m-%d} ({setting})", fix)


def _validity(setting: str, path: Path) -> tuple[datetime, datetime] | None:
    """Return from when to when a file is valid; None where it cannot be read.

    A chain is valid while all of its certificates are, a list of authorities while any of them is.
    """
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return None
    begins, ends = [one.not_valid_before_utc for one in certificates], [one.not_valid_after_utc for one in certificates]
    return (max(begins), min(ends)) if setting.endswith("cert") else (min(begins), max(ends))
