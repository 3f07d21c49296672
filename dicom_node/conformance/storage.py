"""Sections on storage as SCP, on what is analysed, and on character sets."""

from pydicom.uid import UID

from core.policy import admission
from dicom_node import contexts, statuses
from dicom_node.conformance.markdown import table
from imaging.pixels.codecs import DECODERS
from imaging.wire.transfer_syntaxes import NATIVE

_STATUSES = (
    (statuses.SUCCESS, "Success", "bytes on disk (fsync) and row committed; also for the same instance with the same content again"),
    (statuses.INVALID_INSTANCE, "Invalid SOP instance", "the SOP Instance UID of the command is longer than 64 characters"),
    (
        statuses.OUT_OF_RESOURCES,
        "Refused: out of resources",
        "disk nearly full or failing, no more files can be opened, database unavailable: try again. Or the instance is larger than allowed",
    ),
    (statuses.NOT_AUTHORISED, "Refused: not authorised", "an object that dicom-node made, where `receive.own_objects` is `refuse`"),
    (statuses.IDENTITY_MISMATCH, "Data set does not match SOP class", "class or instance of command, context and data set differ"),
    (
        statuses.CANNOT_UNDERSTAND,
        "Cannot understand",
        "no data set, data set not readable or cut short, or SOP, study or series UID missing",
    ),
    (statuses.UNEXPECTED, "Cannot understand", "an unexpected error of the node; see its log"),
)

_WHOLE = (
    "Success is answered for whole data sets only. One that was cut is refused with 0xC000 and a comment that says so: it must end where\n"
    "its last element ends (PS3.5 7.1), each item of encapsulated pixel data must lie within it, these must end with their Sequence\n"
    "Delimitation Item (PS3.5 A.4), a deflated data set must end with its end marker, and an image must have pixel data. Uploads in the\n"
    "console, and data sets that are received again from the quarantine, are checked in the same way.\n\n"
)
_CASES = (
    ("an element or an item that is longer than what is left; deflated bytes without their end", "0xC000", "quarantined"),
    ("encapsulated pixel data without their delimiter", "0xC000", "quarantined"),
    (
        "the same, where each fragment is one whole JPEG, JPEG-LS or JPEG 2000 frame, and their number is Number of Frames",
        "0x0000",
        "analysed; the unit has a note",
    ),
    ("an image without pixel data", "0xC000", "quarantined"),
    ("null bytes behind the last element", "0x0000", "analysed"),
    ("native Pixel Data whose own length is less than Rows, Columns and Number of Frames ask for", "0x0000", "reported as not analysed"),
    ("fewer fragments than Number of Frames; a codestream that ends early in a whole fragment", "0x0000", "reported as not analysed"),
    ("a deflated data set that inflates to more than 256 MiB", "0xC000", "quarantined"),
)
_NOT_NOTICED = (
    "\n\nWhat is stored and not analysed is what its sender holds: refusing it would not bring more. What cannot be noticed is a cut\n"
    "exactly between two elements of an object that is no image, or behind the pixel data."
)

_CHARACTER_SETS = (
    ("(none)", "ISO 646; text beyond it is read as UTF-8 if it is valid UTF-8, else as Latin-1, with a note on the instance"),
    ("ISO_IR 100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166", "single-byte sets, also with code extensions"),
    ("ISO 2022 IR 6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 203", "multi-byte and code extensions"),
    ("ISO_IR 192", "UTF-8"),
    ("GB18030, GBK", "Chinese"),
)


# Names of SOP classes that pydicom's dictionary lacks (PS3.6 table A-1).
_NAMES = {
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
}


def storage_section() -> str:
    """Return the section on storage as SCP: statuses, transfer syntaxes, SOP classes."""
    decoded = {*NATIVE, *DECODERS}
    classes = [(f"`{uid}`", _NAMES.get(uid, UID(uid).name)) for uid in contexts.storage_classes()]
    syntaxes = [(f"`{uid}`", UID(uid).name, "yes" if uid in decoded else "no") for uid in contexts.transfer_syntaxes()]
    return (
        "## Storage as SCP\n\n"
        "Level 2 (full): every attribute is kept, private ones included. The data set is stored bit for bit as it was received, in its\n"
        "transfer syntax; no attribute is coerced. A failure carries an Error Comment (0000,0902) without patient data. What is refused\n"
        "permanently is kept in a quarantine of limited size, and audited. Another content of a known SOP Instance UID is stored beside\n"
        "the first and compared later: the same attributes and pixels in another encoding count as the same content, anything else\n"
        "makes a new revision. Of several contents the one received last counts, also where it was received before.\n\n"
        + table(("status", "meaning", "when"), [(f"0x{code:04X}", meaning, when) for code, meaning, when in _STATUSES])
        + "\n\n### Whole data sets\n\n"
        + _WHOLE
        + table(("what is received", "answer", "then"), _CASES)
        + _NOT_NOTICED
        + "\n\n### Transfer syntaxes\n\nOf several in one proposed context the requestor's first is accepted. "
        "*Analysed*: the node can decode pixels in it. An instance that it cannot decode is stored, and reported as not analysed.\n\n"
        + table(("UID", "name", "analysed"), syntaxes)
        + "\n\n### SOP classes\n\n"
        + table(("UID", "name"), classes)
    )


def analysis_section() -> str:
    """Return the section on what is analysed."""
    images = ", ".join(UID(uid).name for uid in sorted(admission.SINGLE_IMAGES))
    return (
        "## What is analysed\n\n"
        "A CT series (single-frame or Enhanced CT) is one unit of analysis, and each single image of these SOP classes is one: "
        + images
        + ".\nBy imported classifiers whose card says so, a series of Ophthalmic Tomography Image Storage or of Ultrasound Multi-frame "
        "Image Storage is one unit too, and its frames are read one by one; so is the pyramid of a series of VL Whole Slide Microscopy "
        "Image Storage (TILED_FULL and TILED_SPARSE), of which images other than of Image Type VOLUME are left out."
        "\nStructured reports, segmentations, presentation states and other objects without pixels of their own, images For Processing "
        "(raw values of a detector), and objects made by "
        "dicom-node, are stored and never analysed. Localizers within a series are left out."
    )


def character_sets_section() -> str:
    """Return the section on character sets."""
    return (
        "## Character sets\n\nRead:\n\n"
        + table(("(0008,0005)", ""), _CHARACTER_SETS)
        + "\n\nWritten: the character set of the source if it is one without code extensions, other than ISO_IR 13 and 203, and the text\n"
        "can be written in it; else `ISO_IR 192`."
    )
