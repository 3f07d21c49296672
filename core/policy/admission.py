"""Decides who may open an association, which kind of unit an instance belongs to, and whether a data set is what its command says.

Reject codes: PS3.8 9.3.4, Table 9-21.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Protocol

from core.errors import IdentityMismatch
from core.policy.peer_certificate import CertificatePin, PeerCertificate, fits_one_of
from core.records import InstanceHeader
from core.states import UnitKind

REJECTED_PERMANENT, REJECTED_TRANSIENT = 1, 2
BY_SERVICE_USER, BY_ACSE, BY_PRESENTATION = 1, 2, 3
NO_REASON = 1  # of each source
CALLING_NOT_RECOGNIZED, CALLED_NOT_RECOGNIZED = 3, 7  # of the service user
TEMPORARY_CONGESTION, LOCAL_LIMIT_EXCEEDED = 1, 2  # of the presentation related provider

CONSOLE_SOURCE = "CONSOLE"
"""Source of what people upload in the console, where DICOM has the calling AE title."""

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage (PS3.4 B.5)
# PS3.4 B.5: SOP classes of single images; each is analysed by itself. Whole slides are pyramids of many instances, and cine loops,
# tomosynthesis and OCT are volumes or films: a series, which is complete by count or time, because no header says what is to come.
SINGLE_IMAGES = frozenset(
    f"1.2.840.10008.5.1.4.1.1.{tail}"
    for tail in (
        "1",  # Computed Radiography
        "1.1",  # Digital X-Ray, for presentation
        "1.2",  # Digital Mammography X-Ray, for presentation
        "1.3",  # Digital Intra-Oral X-Ray, for presentation
        "6.1",  # Ultrasound
        "77.1.1",  # VL Endoscopic
        "77.1.1.1",  # Video Endoscopic
        "77.1.2",  # VL Microscopic
        "77.1.2.1",  # Video Microscopic
        "77.1.3",  # VL Slide-Coordinates Microscopic
        "77.1.4",  # VL Photographic
        "77.1.4.1",  # Video Photographic
        "77.1.5.1",  # Ophthalmic Photography 8 Bit
        "77.1.5.2",  # Ophthalmic Photography 16 Bit
        "77.1.7",  # Dermoscopic Photography
    )
)


class AdmittedPeer(Protocol):
    """A peer that may send, such as `core.settings.peers.sources.Source`."""

    @property
    def ae_title(self) -> str:
        """Calling AE title."""
        ...

    @property
    def certificate(self) -> CertificatePin | None:
        """The TLS certificate that it must present; None: any."""
        ...

    def admits(self, address: str) -> bool:
        """Whether the peer may come from this IP address."""
        ...


@dataclass(frozen=True, slots=True)
class Rejection:
    """An A-ASSOCIATE-RJ: result, source and reason as PS3.8 9.3.4 numbers them.

    Attributes
    ----------
    description
        Why, for log and audit trail.
    hint
        What the operator can do, for the log.
    """

    result: int
    source: int
    reason: int
    description: str
    hint: str = ""


_RELOAD = "then run `dicom-node reload`"
WRONG_CALLED_TITLE = Rejection(
    REJECTED_PERMANENT, BY_SERVICE_USER, CALLED_NOT_RECOGNIZED, "the called AE title is not ours",
    "the sender has to call the node by node.ae_title",
)  # fmt: skip
UNKNOWN_CALLING_TITLE = Rejection(
    REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_NOT_RECOGNIZED, "no source has this calling AE title",
    f"add a [[sources]] table with this AE title and address, {_RELOAD}",
)  # fmt: skip
WRONG_ADDRESS = Rejection(
    REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_NOT_RECOGNIZED, "the source of this AE title has another address",
    f"correct host in its [[sources]] table, {_RELOAD}",
)  # fmt: skip
WRONG_CERTIFICATE = Rejection(
    REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_NOT_RECOGNIZED, "the source of this AE title has another TLS certificate",
    f"correct certificate in its [[sources]] table, {_RELOAD}",
)  # fmt: skip
TOO_MANY_ASSOCIATIONS = Rejection(
    REJECTED_TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, "the maximum of associations is reached",
    "the sender tries again; if this lasts, raise receive.max_associations",
)  # fmt: skip
MALFORMED_CONTEXT = Rejection(
    REJECTED_PERMANENT, BY_ACSE, NO_REASON, "a presentation context that proposes no transfer syntax (PS3.8 9.3.2.2)",
    "inform the vendor of the sender",
)  # fmt: skip
SHUTTING_DOWN = Rejection(REJECTED_TRANSIENT, BY_PRESENTATION, TEMPORARY_CONGESTION, "the node is shutting down", "the sender tries again")
INTERNAL_ERROR = Rejection(REJECTED_TRANSIENT, BY_ACSE, NO_REASON, "an unexpected error of the node; see its log")


@dataclass(frozen=True, slots=True)
class ReportingPeer:
    """A destination that is asked for storage commitment, so it may report. ``addresses``: IP addresses as text."""

    ae_title: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class CallerRights:
    """What a caller may do: ``may_store`` as a source, ``may_report`` storage commitment as a destination."""

    may_store: bool
    may_report: bool


def caller_rights(
    *,
    calling_ae: str,
    address: str,
    sources: Sequence[AdmittedPeer],
    reporters: Sequence[ReportingPeer] = (),
    certificate: PeerCertificate | None = None,
) -> CallerRights:
    """Return the rights of a caller, by AE title and address.

    A source with the AE title of a reporting destination may report from every address from which it may send.

    Parameters
    ----------
    address
        The peer's IP address as text; a zone (``%eth0``) is left out of the comparison.
    certificate
        Its TLS certificate. Where a source of this AE title pins another one, the caller may do nothing.
    """
    title, plain = calling_ae.strip(), address.partition("%")[0]
    admitting = [source.certificate for source in sources if source.ae_title == title and source.admits(plain)]
    if not _has_its_certificate(title, sources, certificate):
        return CallerRights(may_store=False, may_report=False)
    may_store = bool(admitting) and fits_one_of(certificate, admitting)
    of_title = [reporter for reporter in reporters if reporter.ae_title == title]
    mapped = getattr(ip_address(plain), "ipv4_mapped", None) if of_title else None
    return CallerRights(may_store, any(may_store or str(mapped or plain) in reporter.addresses for reporter in of_title))


def check_association(
    *, calling_ae: str, called_ae: str, address: str, our_ae: str, sources: Sequence[AdmittedPeer], open_now: int, limit: int,
    reporters: Sequence[ReportingPeer] = (), certificate: PeerCertificate | None = None,
) -> Rejection | None:  # fmt: skip
    """Return why an association is rejected; None where it is accepted.

    The caller must be a configured source or a reporting destination, come from its address, and call our AE title.

    Parameters
    ----------
    open_now, limit
        Number of open associations, and how many there may be.
    """
    if called_ae.strip() != our_ae.strip():
        return WRONG_CALLED_TITLE
    rights = caller_rights(calling_ae=calling_ae, address=address, sources=sources, reporters=reporters, certificate=certificate)
    if not _has_its_certificate(calling_ae.strip(), sources, certificate):
        return WRONG_CERTIFICATE
    if not (rights.may_store or rights.may_report):
        titles = {*(source.ae_title for source in sources), *(reporter.ae_title for reporter in reporters)}
        return WRONG_ADDRESS if calling_ae.strip() in titles else UNKNOWN_CALLING_TITLE
    return TOO_MANY_ASSOCIATIONS if open_now >= limit else None


def _has_its_certificate(title: str, sources: Sequence[AdmittedPeer], certificate: PeerCertificate | None) -> bool:
    return fits_one_of(certificate, [source.certificate for source in sources if source.ae_title == title])


def unit_kind(sop_class_uid: str) -> UnitKind:
    """Return the kind of unit: single images are analysed one by one, everything else is part of its series."""
    return UnitKind.IMAGE if sop_class_uid in SINGLE_IMAGES else UnitKind.SERIES


def check_identity(*, sop_class_uid: str, sop_instance_uid: str, abstract_syntax: str, header: InstanceHeader) -> None:
    """Check that the data set is what the C-STORE command and the presentation context say (PS3.4 B.2.3, 0xA9xx).

    Raises
    ------
    IdentityMismatch
        Names what disagrees, not the values.
    """

    def same(uid: str, other: str) -> bool:
        return uid.rstrip("\0 ") == other.rstrip("\0 ")

    if not same(sop_class_uid, abstract_syntax):
        raise IdentityMismatch("SOP class of command and presentation context differ")
    if not same(sop_class_uid, header.sop_class_uid):
        raise IdentityMismatch("SOP class of command and data set differ")
    if not same(sop_instance_uid, header.sop_instance_uid):
        raise IdentityMismatch("SOP instance of command and data set differ")
