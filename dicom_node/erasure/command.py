"""Commands of an administrator on all data of one person, which the role ``conduct`` carries out: find it, erase it.

The row of a command names the person until it has been carried out; then it forgets that (`db.roles.commands`).
"""

from collections.abc import Sequence

from core.counted import counted
from core.errors import NodeError
from core.settings.settings import Settings
from db.blobs.open_blobs import open_blobs
from db.engine import Database
from db.patients.erasure_plan import plan_erasure
from db.patients.erasure_record import FinishedErasure, has_open_erasure
from db.patients.erasure_rules import check_can_be_erased, check_reason
from db.patients.patient_key import PatientKey
from db.roles.command_runner import Handler
from db.roles.commands import ClaimedCommand
from dicom_node.erasure.quarantined import QuarantinedOfPatient, quarantined_of
from dicom_node.erasure.run import run_erasure

MOST_LISTED = 50  # numbers in one answer
_OF_PERSON = ("refused data set of this person is erased too", "refused data sets of this person are erased too")
_OF_NOBODY = ("does not say whose it is and stays", "do not say whose they are and stay")
_OF_NAMESAKES = (
    "has this ID of another issuer, is of another person and stays",
    "have this ID of another issuer, are of other persons and stay",
)


def erasing(settings: Settings, database: Database) -> Handler:
    """Return the handler."""

    def erase(command: ClaimedCommand) -> str:
        """Erase the person whom the command names; ``cancel`` and ``whole_studies`` as on the command line.

        Raises
        ------
        NodeError
            The command has no Patient ID, something forbids the erasure now, or it was interrupted.
        """
        patient = _patient(command)
        blobs = open_blobs(settings)
        if not blobs.removes:
            raise NodeError("the conductor cannot remove files: its store is on another node", hint="run `dicom-node patients erase` there")
        reason, cancel, whole = (command.args.get(name, "") for name in ("reason", "cancel", "whole_studies"))
        refused = quarantined_of(database, blobs, patient)
        plan = plan_erasure(database, patient, refused.ids)
        check_reason(reason, patient.patient_id, plan)
        check_can_be_erased(plan, has_open_erasure(database, patient), cancel=bool(cancel), whole_studies=bool(whole))
        finished = run_erasure(
            settings, database, blobs, patient, plan, refused.ids, actor=command.actor, reason=reason, cancel=bool(cancel),
            whole_studies=bool(whole),
        )  # fmt: skip
        return _answer(finished, refused)

    return erase


def listing_refused(settings: Settings, database: Database) -> Handler:
    """Return the handler of the question which refused data sets are of a person."""

    def list_refused(command: ClaimedCommand) -> str:
        """Say which they are, and what an erasure does with them and with those that may be. Nothing is changed.

        Raises
        ------
        NodeError
            The command has no Patient ID.
        """
        refused = quarantined_of(database, open_blobs(settings), _patient(command))
        hers = f"{counted(len(refused.ids), *_OF_PERSON)}: {_listed(refused.ids)}"
        parts = [hers if refused.ids else "no refused data set is of this person"]
        if refused.unreadable:
            unknown = f"{counted(len(refused.unreadable), *_OF_NOBODY)}: {_listed(refused.unreadable)}"
            parts.append(f"{unknown}; `dicom-node patients erase --quarantined ID` erases one of them too")
        if refused.of_namesakes:
            parts.append(f"{counted(len(refused.of_namesakes), *_OF_NAMESAKES)}: {_listed(refused.of_namesakes)}")
        return "; ".join(parts)

    return list_refused


def _patient(command: ClaimedCommand) -> PatientKey:
    """Return the person whom a command names."""
    patient = PatientKey(command.args.get("patient_id", ""), command.args.get("issuer", ""))
    if not patient.patient_id:
        raise NodeError("the command has no Patient ID", hint="open the page of erasures, or use `dicom-node patients erase`")
    return patient


def _listed(ids: Sequence[int]) -> str:
    more = len(ids) - MOST_LISTED
    return ", ".join(map(str, ids[:MOST_LISTED])) + (f" and {more} more" if more > 0 else "")


def _answer(finished: FinishedErasure, refused: QuarantinedOfPatient) -> str:
    """Return what was erased and what is left, without an identity: the answer is kept."""
    parts = ["erased: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in finished.counts.items())]
    destinations = sorted({one.destination for one in finished.sent})
    if destinations:
        held = counted(len(finished.sent), "result object is", "result objects are")
        parts.append(f"{held} held by {', '.join(destinations)}: to be deleted there")
    for ids, what in ((refused.unreadable, "that do not say whose they are"), (refused.of_namesakes, "with this ID of another issuer")):
        if ids:
            parts.append(f"refused data sets {what} stay: {', '.join(map(str, ids))}")
    return "; ".join(parts)
