"""Associations that the node opens: one way to make them, with or without TLS, and words for why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom.association import Association

from core.errors import ConfigurationError
from core.settings.destinations import Destination
from core.settings.settings import Settings
from core.settings.sources import PeerAddress
from core.tls import client_context
from core.uids import IMPLEMENTATION_CLASS_UID
from dicom_node import IMPLEMENTATION_VERSION_NAME
from dicom_node.sockets import MAX_PDU_BYTES, Entity

Bound = tuple[Any, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class NoAssociation:
    """Why there is no association. ``permanent``: the peer answered, and takes none of what was proposed."""

    words: str
    permanent: bool = False


def entity(our_ae: str, timeout_s: float, max_pdu_bytes: int | None = None) -> Entity:
    """Our application entity as requestor."""
    made = Entity(our_ae)
    made.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    made.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    made.connection_timeout = made.acse_timeout = made.dimse_timeout = timeout_s
    made.network_timeout = timeout_s * 2  # the DIMSE time-out has to come first: it knows which message was on its way
    if max_pdu_bytes is not None:
        made.maximum_pdu_size = max_pdu_bytes
    return made


def entity_of(settings: Settings, timeout_s: float) -> Entity:
    """The same, with this installation's title and PDU size."""
    return entity(settings.node.ae_title, timeout_s, MAX_PDU_BYTES)


def address_of(destination: Destination) -> PeerAddress:
    """Where a destination of DIMSE takes associations."""
    assert destination.ae_title is not None  # the settings see to it
    assert destination.host is not None
    assert destination.port is not None
    return PeerAddress(ae_title=destination.ae_title, host=destination.host, port=destination.port, tls=destination.tls)


def associate(
    requestor: Entity, peer: PeerAddress, *, roles: Sequence[Any] = (), handlers: Sequence[Bound] = ()
) -> Association | NoAssociation:
    """An established association, or why there is none, in words that help the administrator."""
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    try:
        tls = None if peer.tls is None else (client_context(peer.tls), peer.host)
        association = requestor.associate(
            peer.host,
            peer.port,
            ae_title=peer.ae_title,
            ext_neg=list(roles) or None,
            evt_handlers=list(handlers) or None,
            tls_args=tls,
        )
    except ConfigurationError as error:
        return NoAssociation(f"no connection to {where}: {error}")
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return NoAssociation(f"no connection to {where}: {reason}")
    if association.is_established:
        return association
    answer: Any = association.acceptor.primitive
    if answer is not None and answer.result == 0:
        # PS3.8 7.1.1.14: accepted, but none of the contexts. Trying again cannot help until somebody configures it there.
        return NoAssociation(f"{where} accepts none of these SOP classes and transfer syntaxes", permanent=True)
    if answer is not None and association.is_rejected:
        return NoAssociation(f"{where} rejected the association: {answer.result_str}, {answer.reason_str}")
    why = requestor.failure or "refused, unreachable or no answer in time"
    return NoAssociation(f"no connection to {where}: {why}")
