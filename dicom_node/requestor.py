"""Associations that the node requests: one way to open them, with or without TLS, and the reason where that fails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID
from pynetdicom.association import Association

from core.errors import ConfigurationError
from core.settings.peers.destinations import Destination
from core.settings.peers.sources import PeerAddress
from core.settings.settings import Settings
from core.tls import client_context
from core.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.sockets import MAX_PDU_BYTES, NodeEntity

EventHandler = tuple[Any, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True)
class NoAssociation:
    """Why there is no association. ``permanent``: the peer answered, and accepts none of the proposed presentation contexts."""

    reason: str
    permanent: bool = False


def requestor(settings: Settings, timeout_s: float) -> NodeEntity:
    """Make the node's application entity as requestor, with the AE title and PDU size of the settings."""
    entity = requestor_of_title(settings.node.ae_title, timeout_s)
    entity.maximum_pdu_size = MAX_PDU_BYTES
    return entity


def requestor_of_title(ae_title: str, timeout_s: float) -> NodeEntity:
    """Make an application entity with this AE title. ``timeout_s`` is that of connecting, of ACSE and of each DIMSE answer."""
    entity = NodeEntity(ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = timeout_s
    entity.network_timeout = timeout_s * 2  # the DIMSE time-out has to expire first: its error names the message
    return entity


def dimse_address(destination: Destination) -> PeerAddress:
    """Return the address at which a destination with an AE title accepts associations."""
    assert destination.ae_title is not None  # checked when the settings are read
    assert destination.host is not None
    assert destination.port is not None
    return PeerAddress(ae_title=destination.ae_title, host=destination.host, port=destination.port, tls=destination.tls)


def request_association(
    entity: NodeEntity, peer: PeerAddress, *, roles: Sequence[Any] = (), handlers: Sequence[EventHandler] = ()
) -> Association | NoAssociation:
    """Return an established association, or the reason why there is none, in words for the administrator.

    Parameters
    ----------
    roles
        SCP/SCU role selection items (PS3.7 D.3.3.4).
    """
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    try:
        tls = None if peer.tls is None else (client_context(peer.tls), peer.host)
        association = entity.associate(
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
        # PS3.8 7.1.1.14: accepted, but none of the contexts. A retry cannot help until the peer's configuration is changed.
        return NoAssociation(f"{where} accepts none of these SOP classes and transfer syntaxes", permanent=True)
    if answer is not None and association.is_rejected:
        return NoAssociation(f"{where} rejected the association: {answer.result_str}, {answer.reason_str}")
    return NoAssociation(f"no connection to {where}: {entity.failure or 'refused, unreachable or no answer in time'}")
