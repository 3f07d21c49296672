"""Reads the settings of a node: the file ``node.toml``, over it ``DICOM_NODE_SECTION__KEY``, secrets also from ``..._FILE``.

Unknown keys and variables are errors: a mistyped safety limit must not be silently without effect.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.errors import ConfigurationError
from core.settings.settings import Settings
from deploy.settings_errors import format_syntax_error, format_validation_error

ENV_PREFIX = "DICOM_NODE_"
ENCODING = "utf-8-sig"  # editors on Windows write a byte order mark
ENV_NOT_SETTINGS = frozenset({"DICOM_NODE_CONFIG", "DICOM_NODE_DATA", "DICOM_NODE_HEARTBEAT_FILE"})
_PASSWORD_IN_URL = re.compile(r"://[^/@]*:[^/@]+@")
# Keys that hold a secret, and when their value is one: a URL only where it has a password.
SECRETS: Mapping[str, Callable[[str], bool]] = {
    "database.url": lambda url: bool(_PASSWORD_IN_URL.search(url)),
    "database.admin_url": bool,
    "broker.url": lambda url: bool(_PASSWORD_IN_URL.search(url)),
    "webhook.secret": bool,
    "store.access_key": bool,
    "store.secret_key": bool,
    "store.tokens": bool,
}
# Refused in the file. The URLs above are tolerated there with a warning, for the sake of existing files.
NEVER_IN_FILE = frozenset({"database.admin_url", "webhook.secret", "store.access_key", "store.secret_key", "store.tokens"})


def load_settings(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings from a file (None: the defaults) and the environment.

    Raises
    ------
    ConfigurationError
        One line: what is wrong, where, what to do.
    """
    values = _read_toml(path) if path is not None else {}
    for key in literal_secrets(values):
        if key in NEVER_IN_FILE:
            hint = f"give it as {secret_file_variable(key)}"
            raise ConfigurationError(f"{path}: {key} is a secret and does not stand in this file", hint=hint)
    overrides = _read_environment(environ)
    for section, key, value in overrides:
        table = values.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{ENV_PREFIX}{section.upper()}__...: [{section}] is a list of tables", hint="set it in the file")
        table[key] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        where = "the environment" if path is None else str(path)
        variables = {(section, key): f"{ENV_PREFIX}{section}__{key}".upper() for section, key, _ in overrides}
        message = format_validation_error(error, where, variables, secrets=SECRETS)
        raise ConfigurationError(message, hint="see docs/configuration.md") from error
    if path is not None and not settings.node.data_dir.is_absolute():
        absolute = (path.parent / settings.node.data_dir).resolve()
        settings = settings.model_copy(update={"node": settings.node.model_copy(update={"data_dir": absolute})})
    return settings


def secret_file_variable(key: str) -> str:
    """Return the environment variable that names a file with the value of ``section.key``."""
    return f"{ENV_PREFIX}{key.upper().replace('.', '__')}_FILE"


def secrets_in_file(path: Path | None) -> tuple[str, ...]:
    """Return the keys of the file that hold a secret (see `literal_secrets`); none where there is no file."""
    return literal_secrets(tomllib.loads(path.read_text(encoding=ENCODING))) if path is not None else ()


def literal_secrets(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of a parsed file that hold a secret. A file of its own, named by ``..._FILE``, is safer."""
    found = []
    for key, is_secret in SECRETS.items():
        section, _, name = key.partition(".")
        table = values.get(section)
        value = table.get(name) if isinstance(table, dict) else None
        if isinstance(value, str) and is_secret(value):
            found.append(key)
    return tuple(found)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding=ENCODING)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} cannot be read: its text is not in UTF-8", hint="save it as UTF-8") from error
    except OSError as error:
        denied = isinstance(error, PermissionError)
        hint = "let the account that runs this read it" if denied else "give a TOML file with --config or DICOM_NODE_CONFIG"
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, hint = format_syntax_error(error, text)
        raise ConfigurationError(f"{path} cannot be read: {message}", hint=hint) from error


def _read_environment(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (section, key, value) of every DICOM_NODE_SECTION__KEY; the value of ``..._FILE`` is read from the file it names."""
    found = []
    for name, value in environ.items():
        if not name.startswith(ENV_PREFIX) or name in ENV_NOT_SETTINGS:
            continue
        section, _, key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if not key or section not in Settings.model_fields:
            hint = "DICOM_NODE_SECTION__KEY, see docs/configuration.md"
            raise ConfigurationError(f"the environment sets {name}, which no setting has", hint=hint)
        if key.endswith("_file"):
            try:
                value = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                message = f"{name} names {value}, which cannot be read: {error.strerror}"
                raise ConfigurationError(message, hint="mount the secret") from error
            key = key.removesuffix("_file")
        found.append((section, key, value))
    return found
