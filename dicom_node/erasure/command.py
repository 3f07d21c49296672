"""Commands of an administrator on all data of one person, which the role ``conduct`` carries out: find refused data sets, erase everything.

Both are carried out in turns of some seconds, between which the commands of other people are carried out. The row of a command names the
person until the last turn; then this is removed (`db.roles.commands`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.counted import counted
from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs.open_blobs import open_blobs
from db.blobs.store import Blobs
from db.engine import Database
from db.operations.command_kinds import CommandKind
from db.patients.erasure_plan import plan_erasure
from db.patients.erasure_record import Erasure, FinishedErasure, has_open_erasure, read_erasure
from db.patients.erasure_rules import check_can_be_erased, check_reason
from db.patients.patient_key import PatientKey
from db.roles.command_runner import Handler, Unfinished
from db.roles.commands import ClaimedCommand
from dicom_node.erasure.quarantined import QuarantinedOfPatient, QuarantineSearch, search_quarantine
from dicom_node.erasure.run import continue_erasure, start_erasure

TURN_S = 2.0  # how long other commands wait for a turn; longer by at most one transaction, or 200 files
MOST_LISTED = 50  # numbers in one answer
_OF_PERSON = ("refused data set of this person is erased too", "refused data sets of this person are erased too")
_UNNAMED = ("does not say whose it is and stays", "do not say whose they are and stay")
_OF_NAMESAKES = (
    "has this ID of another issuer, is of another person and stays",
    "have this ID of another issuer, are of other persons and stay",
)


class PersonCommands:
    """Finds and erases what is stored of the person whom a command names.

    Each method works for one turn, which is repeated after a kill, and raises NodeError with the reason where it cannot.
    """

    def __init__(self, settings: Settings, database: Database, turn_s: float = TURN_S) -> None:
        self._settings = settings
        self._database = database
        self._turn_s = turn_s

    def handlers(self) -> Mapping[str, Handler]:
        """Return the handlers by kind."""
        return {CommandKind.PATIENT_REFUSED: self.list_refused, CommandKind.PATIENT_ERASE: self.erase}

    def list_refused(self, command: ClaimedCommand) -> str | Unfinished:
        """Say which refused data sets are of the person, and what an erasure does with these and the others. Nothing is changed."""
        search = self._search(command, _patient(command), open_blobs(self._settings), self._turn())
        if isinstance(search, Unfinished):
            return search
        refused = search.found
        hers = f"{counted(len(refused.ids), *_OF_PERSON)}: {_listed(refused.ids)}"
        parts = [hers if refused.ids else "no refused data set is of this person"]
        if refused.unreadable:
            unknown = f"{counted(len(refused.unreadable), *_UNNAMED)}: {_listed(refused.unreadable)}"
            parts.append(f"{unknown} (on the command line, patients erase --quarantined ID erases one of them too)")
        if refused.of_namesakes:
            parts.append(f"{counted(len(refused.of_namesakes), *_OF_NAMESAKES)}: {_listed(refused.of_namesakes)}")
        return "; ".join(parts)

    def erase(self, command: ClaimedCommand) -> str | Unfinished:
        """Read whose the refused data sets are, begin the erasure, delete; ``cancel`` and ``whole_studies`` as on the command line.

        Raises
        ------
        NodeError
            The command has no Patient ID, something forbids the erasure now, or it was interrupted.
        """
        patient = _patient(command)
        blobs = open_blobs(self._settings)
        if not blobs.removes:
            raise NodeError("the conductor cannot remove files: its store is on another node", hint="run `dicom-node patients erase` there")
        is_over = self._turn()
        progress: Mapping[str, Any] = command.progress or {}
        if "erasure" not in progress:
            search = self._search(command, patient, blobs, is_over)
            if isinstance(search, Unfinished):
                return search
            progress = self._begin(command, patient, search.found)
        erasure = read_erasure(self._database, progress["erasure"])
        finished = continue_erasure(
            self._settings, self._database, blobs, erasure, actor=command.actor, cancel=bool(command.args.get("cancel")),
            mixed_of=None if command.args.get("whole_studies") else patient, is_over=is_over,
        )  # fmt: skip
        if finished is None:
            return Unfinished(_so_far(read_erasure(self._database, erasure.id)), progress)
        return _answer(finished, progress["stays"])

    def _turn(self) -> Callable[[], bool]:
        """Return what says whether the turn that begins now is over."""
        end = time.monotonic() + self._turn_s
        return lambda: time.monotonic() >= end

    def _search(
        self, command: ClaimedCommand, patient: PatientKey, blobs: Blobs, is_over: Callable[[], bool]
    ) -> QuarantineSearch | Unfinished:
        """Continue the search for refused data sets of the person; return it where it is done."""
        search = search_quarantine(self._database, blobs, patient, _read_search(command.progress or {}), is_over)
        return search if search.is_done else Unfinished("the refused data sets are being read", {"search": asdict(search)})

    def _begin(self, command: ClaimedCommand, patient: PatientKey, refused: QuarantinedOfPatient) -> Mapping[str, Any]:
        """Check the plan and record that the erasure begins; return what the later turns need, without an identity.

        In one turn: of a person with 300 studies and 6,000 images this takes 0.7 s, a third of it for the plan, which locks nothing.
        """
        reason, cancel = command.args.get("reason", ""), bool(command.args.get("cancel"))
        plan = plan_erasure(self._database, patient, refused.ids)
        check_reason(reason, patient.patient_id, plan)
        interrupted, whole = has_open_erasure(self._database, patient), bool(command.args.get("whole_studies"))
        check_can_be_erased(plan, interrupted, cancel=cancel, whole_studies=whole)
        erasure = start_erasure(
            self._settings, self._database, patient, plan, refused.ids, actor=command.actor, reason=reason, cancel=cancel
        )  # fmt: skip
        return {"erasure": erasure.id, "stays": _what_stays(refused)}


def _patient(command: ClaimedCommand) -> PatientKey:
    """Return the person whom a command names."""
    patient = PatientKey(command.args.get("patient_id", ""), command.args.get("issuer", ""))
    if not patient.patient_id:
        raise NodeError("the command has no Patient ID", hint="open the page of erasures, or use `dicom-node patients erase`")
    return patient


def _read_search(progress: Mapping[str, Any]) -> QuarantineSearch:
    """Return the search that an earlier turn has not ended, or one that begins."""
    if "search" not in progress:
        return QuarantineSearch()
    found = {kind: tuple(ids) for kind, ids in progress["search"]["found"].items()}
    return QuarantineSearch(QuarantinedOfPatient(**found), progress["search"]["below"])


def _so_far(erasure: Erasure) -> str:
    studies, images = (erasure.counts.get(what, 0) for what in ("studies", "images"))
    return f"erased so far: {studies} of {counted(len(erasure.studies), 'study', 'studies')}, {counted(images, 'image')}"


def _answer(finished: FinishedErasure, stays: Sequence[str]) -> str:
    """Return what was erased and what is left, without an identity: the answer is kept."""
    parts = ["erased: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in finished.counts.items())]
    destinations = sorted({one.destination for one in finished.sent})
    if destinations:
        held = counted(len(finished.sent), "result object is", "result objects are")
        parts.append(f"{held} held by {', '.join(destinations)}: to be deleted there")
    return "; ".join((*parts, *stays))


def _what_stays(refused: QuarantinedOfPatient) -> list[str]:
    """Return which refused data sets are not erased, by their numbers."""
    kinds = ((refused.unreadable, "that do not say whose they are"), (refused.of_namesakes, "with this ID of another issuer"))
    return [f"refused data sets {what} stay: {', '.join(map(str, ids))}" for ids, what in kinds if ids]


def _listed(ids: Sequence[int]) -> str:
    more = len(ids) - MOST_LISTED
    return ", ".join(map(str, ids[:MOST_LISTED])) + (f" and {more} more" if more > 0 else "")
