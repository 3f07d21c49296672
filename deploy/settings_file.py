"""Reads the settings of a node: the file ``node.toml``, over it ``DICOM_NODE_SECTION__KEY``, secrets also from ``..._FILE``.

Unknown keys and variables are errors: a mistyped safety limit must not be silently without effect.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from core.errors import ConfigurationError
from core.settings.settings import Settings

ENV_PREFIX = "DICOM_NODE_"
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
        message = _format_errors(error, where, {(section, key) for section, key, _ in overrides})
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
    return literal_secrets(tomllib.loads(path.read_text(encoding="utf-8"))) if path is not None else ()


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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        hint = "give a TOML file with --config or DICOM_NODE_CONFIG"
        reason = error.strerror if isinstance(error, OSError) else error  # the text of an OSError repeats the path
        raise ConfigurationError(f"{path} cannot be read: {reason}", hint=hint) from error


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


def _unknown_key(place: tuple[int | str, ...]) -> str:
    """Return the message for a key that no setting has, with the most similar one of the same table."""
    known = _keys_of(place[:-1])
    similar = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"unknown key; did you mean {similar[0]}?" if similar else "unknown key"


def _keys_of(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the table at a place of the configuration; numbers are positions in lists of tables."""
    model: type[BaseModel] | None = Settings
    for step in place:
        if isinstance(step, str) and model is not None:
            field = model.model_fields.get(step)
            model = _model_in(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a table in a type such as ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _format_errors(error: ValidationError, where: str, overrides: set[tuple[str, str]]) -> str:
    """Return pydantic's errors as one line, with the places as they are written in the file, or in the environment if set there."""
    parts = []
    problems = error.errors()
    places = [problem["loc"] for problem in problems]
    for problem in problems:
        loc = problem["loc"]
        if any(len(other) > len(loc) and other[: len(loc)] == loc for other in places):
            continue  # a list with a wrong value is also reported as too short
        steps = [str(step) for step in loc]
        variable = f"{ENV_PREFIX}{'__'.join(steps[:2]).upper()}" if tuple(steps[:2]) in overrides else ""
        place = f"the environment's {variable}" if variable else f"{where}: {_written_place(loc)}"
        text = _unknown_key(loc) if problem["type"] == "extra_forbidden" else problem["msg"].removeprefix("Value error, ")
        parts.append(f"{place}: {text}")
    return "; ".join(parts)


def _written_place(loc: tuple[int | str, ...]) -> str:
    """Return a place as a person finds it in the file: ``node.port``, ``[[routes]] number 1: when``, ``objects, value 2``."""
    text = ""
    for index, step in enumerate(loc):
        if not isinstance(step, int):
            text += f"{'' if not text or text.endswith(': ') else '.'}{step}"
        elif index + 1 < len(loc) or _is_table(loc[:index]):
            text = f"[[{text}]] number {step + 1}: "
        else:
            text += f", value {step + 1}"
    return text.removesuffix(": ") or "settings"


def _is_table(place: tuple[int | str, ...]) -> bool:
    """Whether a list at this place of the configuration holds tables, and not values."""
    return bool(_keys_of(place))
