"""The command of an administrator to erase all data of one person, which the role ``conduct`` carries out.

Its row names the person until it has been carried out; then it forgets that (`db.roles.commands`).
"""

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


def erasing(settings: Settings, database: Database) -> Handler:
    """Return the handler."""

    def erase(command: ClaimedCommand) -> str:
        """Erase the person whom the command names; ``cancel`` and ``whole_studies`` as on the command line.

        Raises
        ------
        NodeError
            The command has no Patient ID, something forbids the erasure now, or it was interrupted.
        """
        patient = PatientKey(command.args.get("patient_id", ""), command.args.get("issuer", ""))
        if not patient.patient_id:
            raise NodeError("the command has no Patient ID", hint="open the page of erasures, or use `dicom-node patients erase`")
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
