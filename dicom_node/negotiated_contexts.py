"""The presentation contexts of an association as the log names them: SOP classes and transfer syntaxes, which say nothing of a patient."""

from collections.abc import Iterable

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext


def describe_contexts(association: Association) -> dict[str, list[str]]:
    """Return what was negotiated: ``accepted`` and ``refused`` contexts, each as "SOP class: transfer syntax" (of a refused one the first).

    Names are those of PS3.6.
    """
    return {"accepted": _in_words(association.accepted_contexts), "refused": _in_words(association.rejected_contexts)}


def _in_words(contexts: Iterable[PresentationContext]) -> list[str]:
    return [f"{uid_name(context.abstract_syntax)}: {', '.join(map(uid_name, context.transfer_syntax))}" for context in contexts]


def uid_name(text: str | None) -> str:
    """Return the name of a UID by PS3.6; the UID where it has none, a remark where it is malformed and might say something else."""
    uid = UID(text or "")
    return uid.name if uid.is_valid else "no valid UID"
