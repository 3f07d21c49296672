"""How objects reach a destination. One Protocol; DIMSE (C-STORE) now, others join beside it."""

import io
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association

from core.settings import Destination, Settings
from core.uids import IMPLEMENTATION_CLASS_UID
from dicom_node import IMPLEMENTATION_VERSION_NAME
from dicom_node.contexts import VERIFICATION
from dicom_node.sockets import Entity
from dicom_node.statuses import Verdict, verdict
from imaging.headers import read_dataset

ECHO_TIMEOUT_S = 10.0
_UNCOMPRESSED = frozenset({str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)})


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object on its way: a whole Part 10 file, and what it is."""

    sop_class_uid: str
    sop_instance_uid: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a parcel. ``status`` is the DIMSE status, None where none came. ``broken``: nothing more goes this way now."""

    verdict: Verdict
    words: str
    status: int | None = None
    broken: bool = False


_NO_ASSOCIATION = Receipt(Verdict.TRANSIENT, "no association", broken=True)


class Transport(AbstractContextManager["Transport"], Protocol):
    """A connection to one destination, for parcels that are known when it is opened."""

    def send(self, parcel: Parcel) -> Receipt:
        """Deliver one parcel. Never raises for what the destination does."""


def open_transport(settings: Settings, destination: Destination, parcels: Sequence[Parcel]) -> Transport:
    """The transport that the destination's address asks for."""
    return DimseTransport(settings, destination, parcels)


class DimseTransport:
    """C-STORE SCU: one association for several objects, with a presentation context for each SOP class and syntax."""

    def __init__(self, settings: Settings, destination: Destination, parcels: Sequence[Parcel]) -> None:
        self._settings = settings
        self._destination = destination
        self._datasets: dict[str, Dataset] = {}
        self._wanted: dict[str, list[str]] = {}
        for parcel in parcels:
            dataset = read_dataset(io.BytesIO(parcel.content), pixels=True)
            self._datasets[parcel.sop_instance_uid] = dataset
            syntax = str(dataset.file_meta.TransferSyntaxUID)
            order = self._wanted.setdefault(parcel.sop_class_uid, [])
            also = sorted(_UNCOMPRESSED) if syntax in _UNCOMPRESSED else []  # these two convert into each other without loss
            order.extend(uid for uid in (syntax, *also) if uid not in order)
        self._association: Association | None = None
        self._problem = _NO_ASSOCIATION

    def __enter__(self) -> Self:
        entity = _entity(self._settings, self._settings.delivery.timeout_s)
        for sop_class, syntaxes in self._wanted.items():
            for syntax in syntaxes:  # one context each: the peer's choice of one must not hide the others
                entity.add_requested_context(sop_class, syntax)
        self._association, self._problem = _associate(entity, self._destination)
        return self

    def __exit__(self, *_: object) -> None:
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def send(self, parcel: Parcel) -> Receipt:
        """C-STORE one object."""
        association = self._association
        if association is None:
            return self._problem
        if not association.is_established:
            return Receipt(Verdict.TRANSIENT, "the association ended before the object was sent", broken=True)
        accepted = {str(context.abstract_syntax) for context in association.accepted_contexts}
        if parcel.sop_class_uid not in accepted:
            name = UID(parcel.sop_class_uid).name
            return Receipt(Verdict.PERMANENT, f"the destination does not accept {name}, or not in this transfer syntax")
        try:
            response = association.send_c_store(self._datasets[parcel.sop_instance_uid])
        except ValueError as error:
            return Receipt(Verdict.PERMANENT, f"no accepted presentation context fits: {type(error).__name__}")
        except (RuntimeError, OSError) as error:
            return Receipt(Verdict.TRANSIENT, f"the association broke: {type(error).__name__}", broken=True)
        if "Status" not in response:  # timed out, aborted, or an invalid response
            if association.is_established:
                association.abort()
            return Receipt(Verdict.TRANSIENT, "no answer: time-out, or the association was aborted", broken=True)
        status = int(response.Status)
        judged, words = verdict(status)
        comment = str(response.get("ErrorComment", "") or "") if judged is not Verdict.STORED else ""
        return Receipt(judged, f"{words}{': ' + comment if comment else ''}", status)


def echo(settings: Settings, destination: Destination) -> tuple[bool, str, float]:
    """C-ECHO: whether the destination answered with success, in words, and after how many seconds."""
    started = time.monotonic()
    entity = _entity(settings, ECHO_TIMEOUT_S)
    entity.add_requested_context(VERIFICATION)
    association, problem = _associate(entity, destination)
    if association is None:
        return False, problem.words, time.monotonic() - started
    try:
        response = association.send_c_echo()
    except (RuntimeError, ValueError) as error:
        return False, f"C-ECHO failed: {type(error).__name__}: verification was not accepted", time.monotonic() - started
    finally:
        if association.is_established:
            association.release()
    if "Status" not in response:
        return False, "no answer to C-ECHO", time.monotonic() - started
    status = int(response.Status)
    return status == 0, "C-ECHO answered" if status == 0 else f"C-ECHO answered 0x{status:04X}", time.monotonic() - started


def _entity(settings: Settings, timeout_s: float) -> Entity:
    entity = Entity(settings.node.ae_title)
    entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = timeout_s
    entity.network_timeout = timeout_s * 2  # the DIMSE time-out has to come first: it knows which object was on its way
    entity.maximum_pdu_size = settings.receive.max_pdu_bytes
    return entity


def _associate(entity: Entity, destination: Destination) -> tuple[Association | None, Receipt]:
    """An established association, or why there is none, in words that help the administrator."""
    assert destination.host is not None  # the settings see to it
    assert destination.port is not None
    assert destination.ae_title is not None
    where = f"{destination.ae_title} at {destination.host}:{destination.port}"
    try:
        association = entity.associate(destination.host, destination.port, ae_title=destination.ae_title)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return None, Receipt(Verdict.TRANSIENT, f"no connection to {where}: {reason}", broken=True)
    if association.is_established:
        return association, _NO_ASSOCIATION
    answer: Any = association.acceptor.primitive
    if answer is not None and answer.result == 0:
        # PS3.8 7.1.1.14: accepted, but none of the contexts. Trying again cannot help until somebody configures it there.
        return None, Receipt(Verdict.PERMANENT, f"{where} accepts none of these SOP classes and transfer syntaxes")
    if answer is not None and association.is_rejected:
        words = f"{where} rejected the association: {answer.result_str}, {answer.reason_str}"
        return None, Receipt(Verdict.TRANSIENT, words, broken=True)
    return None, Receipt(Verdict.TRANSIENT, f"no connection to {where}: refused, unreachable or no answer in time", broken=True)
