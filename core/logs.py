"""Structured logs on standard error, one line an event, without patient data and UIDs.

Values are written only under the keys in `SAFE_KEYS`. Under any other key a short hash is written, which still distinguishes two values.
UIDs and person names inside text are replaced as well.
"""

import hashlib
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

# fmt: off
SAFE_KEYS = frozenset({
    "event", "level", "timestamp", "logger", "role", "name", "action", "host", "port", "address", "calling_ae", "called_ae",
    "ae_title", "destination", "source", "reason", "state", "outcome", "status", "status_hex", "model", "version", "digest",
    "job", "unit", "delivery", "attempt", "attempts", "queue", "worker", "count", "seconds", "rate", "bytes", "free_bytes",
    "syntax", "sop_class", "path_kind", "path", "url", "error", "hint", "rule", "held", "expected", "device", "threads", "pid",
    "signal", "age_s", "backlog", "released", "kind", "priority", "revision", "route", "routes", "exception", "limit", "at",
    "listener", "processes", "final", "number", "pause_s", "accepted", "refused", "instance", "conditions",
})
# fmt: on
_UID = re.compile(r"\b[0-2](?:\.\d+){4,}\b")
_WARNING = re.compile(r"[^/\s]+:\d+: \w+(?=:)")  # file, line and category, as `warnings.formatwarning` begins
_PERSON = re.compile(r"[^\s^=\\]+\^[^\s]+")


def fingerprint(value: object) -> str:
    """Return a short hash that stands for a value in logs. It distinguishes two values without showing them."""
    return "#" + hashlib.blake2s(str(value).encode(), digest_size=5).hexdigest()


def scrub(text: str) -> str:
    """Return ``text`` with UIDs replaced by their fingerprint and person names (``A^B``) removed."""
    return _PERSON.sub("[name]", _UID.sub(lambda match: fingerprint(match.group()), text))


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace every value that may not be logged. A processor of structlog."""
    for key, value in event.items():
        if key not in SAFE_KEYS:
            event[key] = fingerprint(value)
        elif isinstance(value, str) and key not in {"timestamp", "sop_class", "syntax", "digest"}:
            event[key] = scrub(value)
    return event


def logs_debug() -> bool:
    """Whether events of level debug are written: for facts that take work to collect."""
    loggers = structlog.get_config()["wrapper_class"]  # the class is asked, because a logger takes microseconds to make
    return bool(loggers.is_enabled_for(None, logging.DEBUG))


class _LibraryHandler(logging.Handler):
    """Passes messages of libraries (pynetdicom, celery, ...) to structlog, so that they are redacted too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on to structlog, with the type of its exception only."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # a wrong format string in a library must not end the request
            text = str(record.msg)
        if record.name == "py.warnings":  # a warning quotes the value that it is about
            where = _WARNING.search(text)
            text = f"a library warned: {where.group()}" if where else "a library warned"
        logger = structlog.get_logger(record.name)
        if record.exc_info and record.exc_info[1] is not None:
            logger.log(record.levelno, text, logger=record.name, exception=repr(type(record.exc_info[1]).__name__))
        else:
            logger.log(record.levelno, text, logger=record.name)


def configure_logging(*, level: str = "info", style: str = "json", role: str = "") -> None:
    """Set up logging of this process to standard error. ``style``: ``json`` or ``console``."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())

    def name_role(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("role", role)  # a context variable would not reach threads that already run
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            name_role,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write for a line: processes share standard error
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LibraryHandler()]
    root.setLevel(max(number, logging.WARNING))  # of libraries, only what a person has to look at
    logging.captureWarnings(True)
