"""Who may associate, what kind of unit an instance belongs to, and whether a data set is what the command says. Pure.

Reject codes: PS3.8 9.3.4, Table 9-21.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from core.errors import IdentityMismatch
from core.records import InstanceHeader
from core.settings.sources import Source
from core.states import UnitKind

REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
BY_SERVICE_USER, BY_ACSE, BY_PRESENTATION = 1, 2, 3
NO_REASON = 1  # of each source
CALLING_NOT_RECOGNIZED, CALLED_NOT_RECOGNIZED = 3, 7  # of the service user
TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 1, 2  # of the presentation related provider

_VL = "1.2.840.10008.5.1.4.1.1.77.1"
# PS3.4 B.5: VL single images; each is analysed by itself. Whole slides are pyramids of many instances: a series.
PHOTOGRAPHS = frozenset(
    f"{_VL}.{tail}"
    for tail in (
        "1",  # VL Endoscopic
        "1.1",  # Video Endoscopic
        "2",  # VL Microscopic
        "2.1",  # Video Microscopic
        "3",  # VL Slide-Coordinates Microscopic
        "4",  # VL Photographic
        "4.1",  # Video Photographic
        "5.1",  # Ophthalmic Photography 8 Bit
        "5.2",  # Ophthalmic Photography 16 Bit
        "7",  # Dermoscopic Photography
    )
)


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ: result, source and reason as PS3.8 9.3.4 numbers them, and why in words for the log."""

    result: int
    source: int
    reason: int
    words: str


NOT_OUR_TITLE = Rejection(REJECTED_PERMANENT, BY_SERVICE_USER, CALLED_NOT_RECOGNIZED, "the called AE title is not ours")
UNKNOWN_CALLER = Rejection(REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_NOT_RECOGNIZED, "no source has this calling AE title")
WRONG_ADDRESS = Rejection(REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_NOT_RECOGNIZED, "the source of this AE title has another address")
TOO_MANY = Rejection(REJECTED_TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, "the maximum of associations is reached")
MALFORMED = Rejection(REJECTED_PERMANENT, BY_ACSE, NO_REASON, "a presentation context that proposes no transfer syntax (PS3.8 9.3.2.2)")
DRAINING = Rejection(REJECTED_TRANSIENT, BY_PRESENTATION, TEMPORARY_CONGESTION, "the node is shutting down")


@dataclass(frozen=True, slots=True)
class Reporter:
    """A destination that is asked for storage commitment: it may come with the answer. ``addresses``: IP addresses as text."""

    ae_title: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller is to us. ``sends``: a source. ``reports``: a destination with answers on storage commitment, and no more."""

    sends: bool
    reports: bool


def standing(*, calling_ae: str, address: str, sources: Sequence[Source], reporters: Sequence[Reporter] = ()) -> Standing:
    """Both by AE title and address. A source under the title of such a destination reports from wherever it may send from.

    Parameters
    ----------
    address
        The peer's IP address as text; a zone (``%eth0``) is left out of the comparison.
    """
    title, plain = calling_ae.strip(), address.partition("%")[0]
    sends = any(source.ae_title == title and source.admits(plain) for source in sources)
    named = [reporter for reporter in reporters if reporter.ae_title == title]
    mapped = getattr(ip_address(plain), "ipv4_mapped", None) if named else None
    return Standing(sends, any(sends or str(mapped or plain) in reporter.addresses for reporter in named))


def judge_association(
    *, calling_ae: str, called_ae: str, address: str, our_ae: str, sources: Sequence[Source], open_now: int, limit: int,
    reporters: Sequence[Reporter] = (),
) -> Rejection | None:  # fmt: skip
    """None: admitted. Closed by default: the caller must be a configured source or reporter, at its address, and must mean us.

    Parameters
    ----------
    open_now, limit
        Associations that are admitted already, and how many may be.
    """
    if called_ae.strip() != our_ae.strip():
        return NOT_OUR_TITLE
    found = standing(calling_ae=calling_ae, address=address, sources=sources, reporters=reporters)
    if not (found.sends or found.reports):
        titles = {*(source.ae_title for source in sources), *(reporter.ae_title for reporter in reporters)}
        known = calling_ae.strip() in titles
        return WRONG_ADDRESS if known else UNKNOWN_CALLER
    return TOO_MANY if open_now >= limit else None


def unit_kind(sop_class_uid: str) -> UnitKind:
    """Photographs are analysed one by one; everything else is part of its series."""
    return UnitKind.IMAGE if sop_class_uid in PHOTOGRAPHS else UnitKind.SERIES


def check_identity(*, sop_class_uid: str, sop_instance_uid: str, abstract_syntax: str, header: InstanceHeader) -> None:
    """The data set must be what the C-STORE command and the presentation context say (PS3.4 B.2.3, 0xA9xx).

    Raises
    ------
    IdentityMismatch
        Names what disagrees, not the values.
    """

    def same(one: str, other: str) -> bool:
        return one.rstrip("\0 ") == other.rstrip("\0 ")

    if not same(sop_class_uid, abstract_syntax):
        raise IdentityMismatch("SOP class of command and presentation context differ")
    if not same(sop_class_uid, header.sop_class_uid):
        raise IdentityMismatch("SOP class of command and data set differ")
    if not same(sop_instance_uid, header.sop_instance_uid):
        raise IdentityMismatch("SOP instance of command and data set differ")
