"""What the page of erasures says of refused data sets. Only their headers say whose they are, and the role ``conduct`` reads those.

The question is a command (`dicom_node.erasure.command`). Its row names the person until it is answered.
"""

from dataclasses import dataclass
from typing import Any

from console.operations.commands import ShownCommand, shown_command
from db.engine import Database
from db.listings.quarantine import count_quarantined
from db.operations.command_kinds import CommandKind
from db.patients.patient_key import PatientKey
from db.roles.commands import enqueue_command, latest_commands

SHOWN_REFERENCE = 8  # characters of the keyed reference, by which the list of commands tells persons apart
KEPT_S = 60.0  # an answer is shown for so long; then the conductor is asked again
LATEST = 50


@dataclass(frozen=True, slots=True)
class RefusedDataSets:
    """How many the node holds, of anybody; ``asked`` is the question which of them are of one person, None where it holds none."""

    stored: int
    asked: ShownCommand | None


def find_refused(database: Database, patient: PatientKey, actor: str) -> RefusedDataSets:
    """Ask the conductor which refused data sets are of a person, unless it was asked a moment ago."""
    stored = count_quarantined(database)
    if not stored:
        return RefusedDataSets(0, None)
    reference = patient.reference(database)
    id = next((row["id"] for row in latest_commands(database, LATEST) if _is_recent(row, reference)), None)
    if id is None:
        named = {"patient_id": patient.patient_id, **({"issuer": patient.issuer} if patient.issuer else {})}
        args = {"subject": reference[:SHOWN_REFERENCE], "reference": reference, **named}
        id = enqueue_command(database, CommandKind.PATIENT_REFUSED, args, actor)
    return RefusedDataSets(stored, shown_command(database, id, CommandKind.PATIENT_REFUSED))


def _is_recent(row: dict[str, Any], reference: str) -> bool:
    """Whether a command has asked the same, and its answer can be shown or is still to come."""
    same = row["kind"] == CommandKind.PATIENT_REFUSED and row["args"].get("reference") == reference
    return bool(same and (row["state"] in ("queued", "running") or (row["state"] == "done" and row["age_s"] < KEPT_S)))
