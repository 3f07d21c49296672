"""Presentation contexts of the storage SCP: which SOP classes and transfer syntaxes are accepted.

Every transfer syntax is accepted in which a data set can be stored as it was received, whether the node can decode it or not. Of several
in one proposed context the requestor's first is accepted: it knows in which one it holds the object, so nothing is converted on the way.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts, build_context
from pynetdicom.presentation import PresentationContext

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"  # Push Model
_UNCOMPRESSED = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")

# In these the pixel data or the data set is stored elsewhere, or is no DICOM encoding: they cannot be stored as received.
_NOT_STORABLE = frozenset(
    {
        "1.2.840.10008.1.2.4.94",  # JPIP Referenced
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate
        "1.2.840.10008.1.2.4.204",  # JPIP HTJ2K Referenced
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate
        "1.2.840.10008.1.2.6.1",  # RFC 2557 MIME encapsulation
        "1.2.840.10008.1.2.6.2",  # XML encoding
        "1.2.840.10008.1.2.7.1",  # SMPTE ST 2110: real-time video
        "1.2.840.10008.1.2.7.2",
        "1.2.840.10008.1.2.7.3",
        "1.2.840.10008.1.20",  # Papyrus 3
    }
)

# Retired classes of composite objects that old archives still send (PS3.4 of 2001 and before).
_RETIRED_STORAGE = tuple(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in ("3", "5", "6", "8", "9", "9.1", "10", "11", "12.3", "77.1", "77.2", "88.1", "88.2", "88.3", "88.4", "129")
)


def storage_classes() -> tuple[str, ...]:
    """Return the SOP Class UIDs that the storage SCP accepts: all that pynetdicom knows, and the retired ones."""
    known = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    return tuple(sorted(known | set(_RETIRED_STORAGE)))


def transfer_syntaxes() -> tuple[str, ...]:
    """Return the Transfer Syntax UIDs in which a data set can be stored as received, uncompressed ones first."""
    known = [uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax" and uid not in _NOT_STORABLE]
    return (*_UNCOMPRESSED, *(uid for uid in known if uid not in _UNCOMPRESSED))


def supported_by_storage() -> Mapping[str, frozenset[str]]:
    """Return abstract syntax -> transfer syntaxes for a source: storage, verification and storage commitment."""
    every = frozenset(transfer_syntaxes())
    table = dict.fromkeys(storage_classes(), every)
    table[VERIFICATION] = frozenset(uid for uid in every if UID(uid) in (*_UNCOMPRESSED, "1.2.840.10008.1.2.2"))
    return MappingProxyType(table | dict(supported_by_commitment_reports()))


def supported_by_commitment_reports() -> Mapping[str, frozenset[str]]:
    """Return the same for a destination that reports on storage commitment and may do nothing else."""
    return MappingProxyType({STORAGE_COMMITMENT: frozenset(_UNCOMPRESSED)})


def acceptable(proposed: Iterable[PresentationContext], supported: Mapping[str, frozenset[str]]) -> list[PresentationContext]:
    """Return the contexts to accept of those that were proposed, transfer syntaxes in the requestor's order."""
    wanted: dict[str, list[str]] = {}
    for context in proposed:
        syntaxes = supported.get(str(context.abstract_syntax))
        if syntaxes is None:
            continue
        order = wanted.setdefault(str(context.abstract_syntax), [])
        order.extend(str(uid) for uid in context.transfer_syntax if str(uid) in syntaxes and str(uid) not in order)
    made = [build_context(abstract, order) for abstract, order in wanted.items() if order]
    for context in made:
        if context.abstract_syntax == STORAGE_COMMITMENT:
            # PS3.4 J.3.3: a peer that reports on an association of its own proposes the SCP role; one that requests is the SCU as usual.
            context.scu_role = context.scp_role = True
    return made
