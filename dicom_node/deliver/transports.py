"""The kinds of destinations: one ordered table from the settings of a destination to the transport that sends to it.

To add a kind of destination:

1. Write a module beside this one with a class that fulfils `transport_types.Transport` and a function ``echo``; `folder` is the shortest
   example.
2. Add the keys of its address to ``core.settings.peers.destinations.Destination``, which checks that a destination has exactly one address,
   and its words to `Destination.address_in_words`.
3. Add a row to `TRANSPORTS`, before the last one. `deploy.doctor.services.destination_fix` says what to look at where it does not answer.
4. Describe it in `dicom_node.conformance.delivery`, and test it in ``tests/dicom_node/deliver/test_transports.py``.

Everything else (leases, retries, outages, order, audit) is the same for all kinds.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from dicom_node.deliver import c_store, folder, stow_rs
from dicom_node.deliver.transport_types import EchoResult, OutgoingObject, Transport

ECHO_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class TransportKind:
    """One row of the table. ``open`` may raise `CannotUnderstand` for an object that cannot be read."""

    applies_to: Callable[[Destination], bool]
    open: Callable[[Settings, Destination, Sequence[OutgoingObject]], Transport]
    echo: Callable[[Settings, Destination, float], EchoResult]


# The first row that applies is used. The last applies to every destination: the settings require an AE title, host and port there.
TRANSPORTS = (
    TransportKind(lambda destination: destination.stow_url is not None, stow_rs.StowTransport, stow_rs.echo),
    TransportKind(lambda destination: destination.folder is not None, folder.FolderTransport, folder.echo),
    TransportKind(lambda _destination: True, c_store.StoreTransport, c_store.echo),
)


def _transport_kind(destination: Destination) -> TransportKind:
    return next(kind for kind in TRANSPORTS if kind.applies_to(destination))


def open_transport(settings: Settings, destination: Destination, objects: Sequence[OutgoingObject]) -> Transport:
    """Return the transport for a destination; entering it connects.

    Raises
    ------
    CannotUnderstand
        An object cannot be read.
    """
    return _transport_kind(destination).open(settings, destination, objects)


def echo(settings: Settings, destination: Destination) -> tuple[bool, str, float]:
    """Check that a destination answers: by C-ECHO, a DICOMweb search, or a file in the folder.

    Returns whether it does, the same in words, and the seconds it took.
    """
    started = time.monotonic()
    result = _transport_kind(destination).echo(settings, destination, ECHO_TIMEOUT_S)
    return result.ok, result.text, time.monotonic() - started
