"""How objects reach a destination: one ordered table from the kind of its address to a transport."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.settings.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver import c_store, folder, stow_rs
from dicom_node.deliver.transport_types import Echo, Parcel, Receipt, Transport

__all__ = ["Parcel", "Receipt", "Transport", "address", "echo", "open_transport"]

ECHO_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class _Kind:
    is_of: Callable[[Destination], bool]
    open: Callable[[Settings, Destination, Sequence[Parcel]], Transport]
    echo: Callable[[Settings, Destination, float], Echo]


_KINDS = (
    _Kind(lambda destination: destination.stow_url is not None, stow_rs.StowTransport, stow_rs.echo),
    _Kind(lambda destination: destination.folder is not None, folder.FolderTransport, folder.echo),
    _Kind(lambda _destination: True, c_store.DimseTransport, c_store.echo),
)


def _kind(destination: Destination) -> _Kind:
    return next(kind for kind in _KINDS if kind.is_of(destination))


def open_transport(settings: Settings, destination: Destination, parcels: Sequence[Parcel]) -> Transport:
    """The transport that the destination's address asks for.

    Raises
    ------
    CannotUnderstand
        A parcel cannot be read.
    """
    return _kind(destination).open(settings, destination, parcels)


def echo(settings: Settings, destination: Destination) -> tuple[bool, str, float]:
    """Whether the destination answers, in words, and after how many seconds: C-ECHO, a search over DICOMweb, a file in the folder."""
    started = time.monotonic()
    answer = _kind(destination).echo(settings, destination, ECHO_TIMEOUT_S)
    return answer.ok, answer.words, time.monotonic() - started


def address(destination: Destination) -> str:
    """Where it is, for people."""
    return destination.stow_url or str(destination.folder or f"{destination.host}:{destination.port}")
