"""The selections of commands on many rows, as their arguments name them. The page that shows a selection and the role read the same."""

from collections.abc import Mapping
from datetime import datetime

from core.errors import ConfigurationError
from db.deliveries.resend_plan import ResendSelection
from db.deliveries.retry_plan import FailedDeliveries
from db.jobs.requeue_plan import FailedSelection
from db.jobs.rerun_plan import RerunSelection
from db.listings.quarantine import QuarantineSelection
from db.listings.unrouted import UnroutedSelection

Arguments = Mapping[str, str]


def moment(args: Arguments, name: str) -> datetime | None:
    """Return the time of an argument; None where the command lacks it.

    Raises
    ------
    ConfigurationError
        It is no time with an offset.
    """
    text = args.get(name, "")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"{text[:40]!r} is no time") from error
    if at.tzinfo is None:
        raise ConfigurationError(f"the time {text[:40]!r} has no offset")
    return at


def failed_selection(args: Arguments) -> FailedSelection:
    """Return the failed jobs that a command selects."""
    return FailedSelection(args.get("model", ""), args.get("cause", ""))


def rerun_selection(args: Arguments) -> RerunSelection:
    """Return the results that a command has made again."""
    return RerunSelection(
        since=moment(args, "since"), until=moment(args, "until"), model=args.get("model", ""), made_by=args.get("made_by", "")
    )


def resend_selection(args: Arguments) -> ResendSelection:
    """Return the objects that a command has sent again to where they were sent: what a destination has stored in a time."""
    return ResendSelection(since=moment(args, "since"), until=moment(args, "until"), destination=args.get("destination", ""))


def failed_deliveries_selection(args: Arguments) -> FailedDeliveries:
    """Return the failed deliveries that a command selects."""
    return FailedDeliveries(args.get("destination", ""), args.get("cause", ""))


def quarantine_selection(args: Arguments) -> QuarantineSelection:
    """Return the refused data sets that a command selects."""
    return QuarantineSelection(args.get("cause", ""), args.get("source", ""))


def unrouted_selection(args: Arguments) -> UnroutedSelection:
    """Return the units that a command selects."""
    return UnroutedSelection(args.get("source", ""), moment(args, "since"), moment(args, "until"))
