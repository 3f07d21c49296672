"""Whether a person may be erased now, and whether the audit trail may keep the reason."""

from core.counted import counted
from core.errors import ConfigurationError, NodeError
from db.patients.erasure_plan import ErasurePlan


def check_reason(reason: str, patient_id: str, plan: ErasurePlan) -> None:
    """Refuse a reason that names the person: the audit trail keeps it for ever.

    Raises
    ------
    ConfigurationError
        It holds the ID, a name or a part of one.
    """
    text = reason.casefold()
    words = {patient_id, *plan.names, *(part for name in plan.names for part in name.replace("=", "^").split("^"))}
    if any(len(word.strip()) > 2 and word.strip().casefold() in text for word in words):
        raise ConfigurationError("the reason names the person, and the audit trail keeps it", hint="name a file number or a date instead")


def check_can_be_erased(plan: ErasurePlan, interrupted: bool, *, cancel: bool, whole_studies: bool) -> None:
    """Check that nothing forbids the erasure now.

    Parameters
    ----------
    interrupted
        An erasure of this person is open.
    cancel, whole_studies
        Whether what waits, and images that name another person, may be erased too.

    Raises
    ------
    NodeError
        Something does; nothing was changed.
    """
    if plan.is_empty and not interrupted:
        raise NodeError("nothing is stored of this person", hint="see `dicom-node patients access`; another issuer is another person")
    if plan.busy:
        what = ", ".join(f"{count} {kind}" for kind, count in plan.busy.items())
        raise NodeError(f"the node works with the data: {what}", hint="wait until it has ended, then run the command again")
    if plan.waiting and not cancel:
        what = ", ".join(f"{count} {kind}" for kind, count in plan.waiting.items())
        raise NodeError(f"work with the data waits: {what}", hint="wait until it is done, or erase it too with --cancel")
    if plan.mixed and not whole_studies:
        message = f"{counted(plan.mixed, 'image of these studies names', 'images of these studies name')} another person in the header"
        raise NodeError(message, hint="look at them with `dicom-node patients access`, then erase them too with --whole-studies")
