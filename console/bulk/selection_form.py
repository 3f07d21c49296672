"""The form with which an operator selects rows: its fields, and what the values of a request mean."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from core.errors import ConfigurationError
from db.bulk.arguments import moment

LONGEST_VALUE = 4000  # a reason is stored as a program has written it
LONGEST_LABEL = 90


@dataclass(frozen=True, slots=True)
class FormField:
    """A field: with ``choices`` of (value, label) a list, else a date and time. ``value`` is chosen."""

    name: str
    label: str
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()


def read_value(form: Mapping[str, str], name: str) -> str:
    """Return a value as the database may be asked for it; "" where the form lacks it.

    Browsers send a line break as CR and LF. Spaces stay: the value may be a reason, which is compared as a whole.

    Raises
    ------
    ConfigurationError
        It is too long, or holds NUL, which PostgreSQL does not store.
    """
    value = str(form.get(name, "")).replace("\r\n", "\n")
    if len(value) > LONGEST_VALUE or "\x00" in value:
        raise ConfigurationError(f"the field {name!r} holds nothing that could be looked for")
    return value


def read_time(form: Mapping[str, str], name: str, zone: tzinfo) -> str:
    """Return a date and time of the form in UTC, as a command names it; "" where there is none. Without an offset it is one of ``zone``.

    Raises
    ------
    ConfigurationError
        It is no date and time.
    """
    text = read_value(form, name).strip()
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise ConfigurationError(f"{text[:40]!r} is no date and time", hint="as 2026-11-30T08:00") from error


def check_order(args: Mapping[str, str]) -> None:
    """Check that ``until`` is after ``since``, where both are given.

    Raises
    ------
    ConfigurationError
        It is not: nothing could be in that time.
    """
    since, until = moment(args, "since"), moment(args, "until")
    if since is not None and until is not None and until <= since:
        raise ConfigurationError("the end of the time is not after its beginning")


def time_field(form: Mapping[str, str], name: str, label: str, zone: tzinfo) -> FormField:
    """Return the field of a date and time, with the time of the form as the clock of ``zone`` shows it."""
    try:
        at = moment({name: read_time(form, name, zone)}, name)
    except ConfigurationError:
        at = None
    return FormField(name, label, "" if at is None else f"{at.astimezone(zone):%Y-%m-%dT%H:%M}")


def choice_field(form: Mapping[str, str], name: str, label: str, every: str, choices: Iterable[tuple[str, str]]) -> FormField:
    """Return a list; its first entry, ``every``, is no condition. What was chosen is in the list also where nothing has it any more."""
    value, listed = read_value(form, name), dict(choices)
    if value and value not in listed:
        listed[value] = value
    return FormField(name, label, value, (("", every), *((known, _short(said)) for known, said in listed.items())))


def counted_choices(counts: Iterable[tuple[str, int]]) -> list[tuple[str, str]]:
    """Return the entries of a list with how many rows have each value, the most frequent first; values may occur several times."""
    total: Counter[str] = Counter()
    for value, number in counts:
        total[value] += number
    return [(value, f"{number} × {value}") for value, number in total.most_common() if value]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LABEL else f"{line[: LONGEST_LABEL - 1].rstrip()}…"
