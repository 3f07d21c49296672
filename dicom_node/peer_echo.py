"""C-ECHO (PS3.4 Annex A): whether a peer answers at an address of the configuration."""

from core.settings.peers.sources import PeerAddress
from core.settings.settings import Settings
from dicom_node.contexts import VERIFICATION
from dicom_node.deliver.transport_types import EchoResult
from dicom_node.requestor import NoAssociation, request_association, requestor


def echo_peer(settings: Settings, peer: PeerAddress, timeout_s: float) -> EchoResult:
    """Send C-ECHO to a peer."""
    entity = requestor(settings, timeout_s)
    entity.add_requested_context(VERIFICATION)
    association = request_association(entity, peer)
    if isinstance(association, NoAssociation):
        return EchoResult(False, association.reason)
    try:
        response = association.send_c_echo()
    except (RuntimeError, ValueError) as error:
        return EchoResult(False, f"C-ECHO failed: {type(error).__name__}: verification was not accepted")
    finally:
        if association.is_established:
            association.release()
    if "Status" not in response:
        return EchoResult(False, "no answer to C-ECHO")
    status = int(response.Status)
    return EchoResult(status == 0, "C-ECHO answered" if status == 0 else f"C-ECHO answered 0x{status:04X}")
