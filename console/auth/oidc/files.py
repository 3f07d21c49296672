"""The files that ``[console.oidc]`` names: the client's secret and the provider's certificate authority. They are read for each use."""

import ssl

import structlog

from core.errors import ConfigurationError
from core.settings.web.console import OidcSection

log = structlog.get_logger(__name__)

HINT = "correct the path, or let the account that runs the console read the file"


def client_secret(section: OidcSection) -> str | None:
    """Return the secret with which the console proves to the provider who it is; None for a public client.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or is empty.
    """
    path = section.client_secret_file
    if path is None:
        return None
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"console.oidc.client_secret_file: {path} cannot be read: {why}", hint=HINT) from error
    if not secret:
        raise ConfigurationError(f"console.oidc.client_secret_file: {path} is empty", hint="write the secret of the client into it")
    return secret


def tls_context(section: OidcSection) -> ssl.SSLContext:
    """Return the context that verifies the provider's certificate.

    Raises
    ------
    ConfigurationError
        The file of the certificate authority cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=None if section.ca is None else str(section.ca))
    except OSError as error:  # ssl.SSLError is one
        raise ConfigurationError(f"console.oidc.ca: {section.ca} cannot be used: {error}", hint=HINT) from error


def check_files(section: OidcSection) -> None:
    """Read every file. Raises ConfigurationError as `client_secret` and `tls_context`."""
    client_secret(section)
    tls_context(section)


def report_unusable_files(section: OidcSection) -> None:
    """Log what sign-in by the provider lacks. The console starts all the same: the file may come later, and other pages work."""
    try:
        check_files(section)
    except ConfigurationError as error:
        log.error("oidc_misconfigured", reason=str(error))
