"""What every action on many rows has: its page, its command, a form that selects rows, and a preview."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from console.bulk.preview import Preview
from console.bulk.selection_form import FormField, check_order, read_time
from core.settings.settings import Settings
from core.time_zone import find_zone
from db.engine import Database
from db.operations.command_kinds import CommandKind


class BulkAction(ABC):
    """A command on many rows and its page.

    Attributes
    ----------
    path
        Of the page.
    kind
        The command that the page asks for.
    choose
        What a person is asked for while nothing is selected.
    danger
        Whether something is deleted.
    """

    path: ClassVar[str]
    kind: ClassVar[CommandKind]
    title: ClassVar[str]
    button: ClassVar[str]
    explain: ClassVar[str]
    choose: ClassVar[str] = ""
    danger: ClassVar[bool] = False

    def __init__(self, database: Database, current: Callable[[], Settings]) -> None:
        self.database = database
        self.current = current
        self.zone = find_zone(current().console.time_zone)

    @abstractmethod
    def fields(self, form: Mapping[str, str]) -> list[FormField]:
        """Return the fields with what the form has chosen."""

    @abstractmethod
    def read(self, form: Mapping[str, str]) -> dict[str, str]:
        """Return the arguments of the command that the form selects. Raises NodeError where the form is wrong."""

    @abstractmethod
    def preview(self, args: Mapping[str, str]) -> Preview | None:
        """Return what would be done now; None while nothing is selected."""

    def read_times(self, form: Mapping[str, str], *, end_now: bool) -> dict[str, str]:
        """Return ``since`` and ``until`` of the form; where it has no end and ``end_now`` is set, the time ends now."""
        args = {name: read_time(form, name, self.zone) for name in ("since", "until")}
        check_order(args)
        return args | ({"until": self.database.now().isoformat()} if end_now and not args["until"] else {})
