"""Every error the node raises on purpose.

::

    NodeError                     what was expected, what came, what to do
    ├── ConfigurationError        permanent   exit 2
    ├── IntakeError               an instance that cannot be taken; carries a DICOM status
    │   ├── OutOfResources        transient   0xA700
    │   ├── IdentityMismatch      permanent   0xA900
    │   ├── OwnObject             permanent   0x0124
    │   └── CannotUnderstand      permanent   0xC000
    ├── PixelError                permanent   pixel data that cannot be decoded
    ├── GeometryError             permanent   slices that do not make a volume
    ├── NotAnalysable             permanent   a claimed unit that no model may see
    ├── ModelError                permanent   card, weights, hash
    ├── OutOfMemory           transient   one item alone does not fit into the card's memory
    ├── EncodingError             permanent   a result object that fails its own validation
    ├── DeliveryError             carries ``permanent`` from the status that the destination gave
    ├── ImagesLetGo           permanent   retention removed bytes that a late analysis needs
    ├── LeaseLost                 permanent   another worker has this job; write nothing
    ├── StorageError              transient   blobs or database out of reach
    └── ChainBroken               permanent   the audit chain does not verify

``permanent`` says whether doing the same again can help. Status codes: PS3.4 Annex B.2.3, PS3.7 Annex C.
"""


class NodeError(Exception):
    """Base of all. ``hint`` is one sentence that says what the operator can do."""

    permanent: bool = True

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class ConfigurationError(NodeError):
    """The configuration does not say what is needed, or says what nobody knows."""


class IntakeError(NodeError):
    """An instance was not taken. ``status`` goes back to the sender."""

    status: int = 0xC000

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        if status is not None:
            self.status = status


class OutOfResources(IntakeError):
    permanent = False
    status = 0xA700


class IdentityMismatch(IntakeError):
    status = 0xA900


class OwnObject(IntakeError):
    """A result of dicom-node was sent back to it, and the configuration refuses these."""

    status = 0x0124  # refused: not authorised (PS3.7 Annex C.5)


class CannotUnderstand(IntakeError):
    status = 0xC000


class PixelError(NodeError):
    """Pixel data cannot be decoded or do not agree with the header."""


class GeometryError(NodeError):
    """Slices that cannot be put together to one volume."""


class NotAnalysable(NodeError):
    """A unit that a route claimed and that cannot be analysed; the message is the reason for the report."""


class ModelError(NodeError):
    """A model's card, weights or hash is not what it must be."""


class OutOfMemory(NodeError):
    """What a model needs for one item is more than the card has free now."""

    permanent = False


class EncodingError(NodeError):
    """A result object was not valid and was held back."""


class DeliveryError(NodeError):
    """A destination did not take an object."""

    def __init__(self, message: str, *, permanent: bool, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.status = status


class ImagesLetGo(NodeError):
    """Retention has removed images of the unit; what came later cannot be analysed without them."""


class LeaseLost(NodeError):
    """Another worker holds the job, or its unit has moved on; nothing may be written."""


class StorageError(NodeError):
    """The blobs or the database are out of reach."""

    permanent = False


class ChainBroken(NodeError):
    """The audit chain does not verify."""
