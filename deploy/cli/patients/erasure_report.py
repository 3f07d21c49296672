"""What an erasure says to the person at the terminal: what is deleted, what is left elsewhere, and what is kept on purpose."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from core.counted import counted
from deploy.terminal import print_message, print_table

if TYPE_CHECKING:
    from db.patients.erasure_plan import ErasurePlan, SentObject
    from dicom_node.erasure.quarantined import QuarantinedOfPatient

SENT_COLUMNS = ("destination", "kind", "sop_instance_uid", "study_instance_uid")


def print_plan(plan: "ErasurePlan", *, interrupted: bool, dry_run: bool) -> None:
    """Print what would be deleted, what works with it or waits, and what destinations hold."""
    if interrupted:
        print_message("an erasure of this person was interrupted: it is continued")
    title = "would be deleted" if dry_run else "to be deleted"
    print_table(title, ("what", "number"), [(what.replace("_", " "), count) for what, count in plan.counts.items()])
    for kind, count in {**plan.busy, **plan.waiting}.items():
        print_message(f"{count} {kind}")
    if plan.sent:
        rows = [[getattr(one, column) for column in SENT_COLUMNS] for one in plan.sent]
        print_table("held by destinations, to be deleted there by their operators", SENT_COLUMNS, rows)


def remarks(
    plan: "ErasurePlan", sent: Sequence["SentObject"], refused: "QuarantinedOfPatient", reference: str, erased: Mapping[str, int] | None
) -> Iterator[str]:
    """Yield what was erased (None: it was a dry run), and what has to be known about the rest."""
    if erased is not None:
        yield "erased: " + ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in erased.items())
    destinations = sorted({one.destination for one in sent})
    if destinations:
        held = counted(len(sent), "result object is", "result objects are")
        yield f"{held} held by {', '.join(destinations)}: what was sent is not recalled, and has to be deleted there"
    if plan.mixed:
        yield f"{counted(plan.mixed, 'image of these studies names', 'images of these studies name')} another person in the header"
    if plan.elsewhere:
        there = counted(plan.elsewhere, "image that names this person is", "images that name this person are")
        yield f"{there} in studies of other persons and not erased: correct this at the source"
    if refused.unreadable:
        numbers = ", ".join(map(str, refused.unreadable))
        yield f"refused data sets that do not say whose they are stay: {numbers}; with --quarantined ID they are erased too"
    if refused.of_namesakes:
        numbers = ", ".join(map(str, refused.of_namesakes))
        yield f"refused data sets with this ID of another issuer, who is another person, stay: {numbers}"
    yield (
        f"the audit trail keeps its events and is not rewritten: numbers of deleted rows, hashes, and the keyed reference {reference}; no "
        "name and no ID. Words that people typed as a reason, and UIDs that an auditor searched and exported, are in it as they were typed"
    )
    yield "backups and exported files are not changed. Images that are sent again are received as new"
