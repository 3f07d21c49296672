"""Every error that the node raises on purpose.

::

    NodeError                     what was expected, what came, what to do
    ├── ConfigurationError        permanent   exit 2
    ├── IntakeError               an instance that cannot be taken; carries a DICOM status
    │   ├── OutOfResources        transient   0xA700
    │   ├── IdentityMismatch      permanent   0xA900
    │   ├── OwnObject             permanent   0x0124
    │   └── CannotUnderstand      permanent   0xC000
    │       └── OverBudget        permanent   0xC000
    ├── PixelError                permanent   pixel data that cannot be decoded
    ├── GeometryError             permanent   slices that do not make a volume
    ├── NotAnalysable             permanent   a unit that a route took and that cannot be analysed
    ├── ModelError                permanent   card, weights, hash
    │   └── NonFiniteOutput       permanent   a network, a map or a prediction has values that are no numbers
    ├── OutOfMemory               transient   a model, or one item alone, does not fit into the memory that is free
    ├── EncodingError             permanent   a result object that fails its own validation
    ├── DeliveryError             carries ``permanent`` from the status that the destination gave
    ├── ImagesDeleted             permanent   retention deleted images that a later analysis needs
    ├── LeaseLost                 permanent   another worker holds this job; write nothing
    ├── StorageError              transient   blobs or database are unavailable
    │   ├── StoreUnavailable      transient   the blob store on another machine does not answer; an attempt does not count
    │   └── ImagesUnreadable      transient   images of one unit cannot be read now; it waits, and other units do not
    └── ChainBroken               permanent   the audit chain does not verify

``permanent``: trying again cannot help. Status codes: PS3.4 Annex B.2.3, PS3.7 Annex C.
"""

import errno
from pathlib import Path

REPEATED = "the operation is repeated"
"""Beginning of the hint of a transient error in a role. A command that ends with such an error gives another hint."""


class NodeError(Exception):
    """Base class. ``hint`` is one sentence that says what the operator can do."""

    permanent: bool = True

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class ConfigurationError(NodeError):
    """The configuration lacks a required value, or holds an unknown or invalid one."""


class IntakeError(NodeError):
    """An instance is refused. ``status`` is returned to the sender."""

    status: int = 0xC000

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        if status is not None:
            self.status = status


class OutOfResources(IntakeError):
    """Disk space, queue or database do not allow to accept an instance now."""

    permanent = False
    status = 0xA700


class IdentityMismatch(IntakeError):
    """The data set is of another SOP class or instance than the command says (PS3.4 B.2.3)."""

    status = 0xA900


class OwnObject(IntakeError):
    """The instance is a result of dicom-node, and the configuration refuses these."""

    status = 0x0124  # refused: not authorised (PS3.7 Annex C.5)


class CannotUnderstand(IntakeError):
    """The data set cannot be read."""

    status = 0xC000


class OverBudget(CannotUnderstand):
    """Reading the data set takes more work than that of any real instance. The message names the element."""


class PixelError(NodeError):
    """Pixel data cannot be decoded, or disagree with the header."""


class GeometryError(NodeError):
    """Slices do not form a volume."""


class NotAnalysable(NodeError):
    """A unit that a route took cannot be analysed. The message is the reason in the report."""


class ModelError(NodeError):
    """Card, weights or hash of a model are invalid."""


class NonFiniteOutput(ModelError):
    """The output of a network, a heat map or a prediction holds NaN or infinity. Nothing of it may be reported."""


class OutOfMemory(NodeError):
    """A model, or one item, needs more memory than the GPU or the machine has free."""

    permanent = False


class EncodingError(NodeError):
    """A result object failed validation and is not delivered."""


class DeliveryError(NodeError):
    """A destination did not accept an object."""

    def __init__(self, message: str, *, permanent: bool, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.status = status


class ImagesDeleted(NodeError):
    """Retention has deleted images of the unit, so that a later revision cannot be analysed."""


class LeaseLost(NodeError):
    """Another worker holds the job, or its unit has a newer revision. Nothing may be written."""


class StorageError(NodeError):
    """The blobs or the database are unavailable."""

    permanent = False


class StoreUnavailable(StorageError):
    """The blob store on another machine does not answer. It says nothing about the input: an attempt does not count."""


class ImagesUnreadable(StorageError):
    """Images of one unit are missing or cannot be read now, which says nothing about what they hold. The unit waits; others do not."""


class ChainBroken(NodeError):
    """The audit chain does not verify."""


_OF_BROKEN_FILES = frozenset({None, errno.EINVAL})


def system_error_of(error: BaseException) -> OSError | None:
    """Return the error of the operating system that this error is, or that it has replaced; None where its cause is another one.

    Parsers raise OSError for a broken file, too: without an errno, or with EINVAL for a place in front of its beginning.
    """
    for found in (error, error.__context__):
        if isinstance(found, OSError) and found.errno not in _OF_BROKEN_FILES:
            return found
    return None


def raised_at(error: BaseException) -> str:
    """Return file and line of an unexpected error, for the log: its text may hold patient data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""
