"""Sections on the delivery of results: storage as SCU, STOW-RS, folders."""

from dicom_node import statuses
from dicom_node.conformance.markdown import table
from dicom_node.statuses import SendOutcome

_CONSEQUENCES = {
    SendOutcome.STORED: "stored",
    SendOutcome.TRANSIENT: "retried",
    SendOutcome.HELD: "held for a person to decide",
    SendOutcome.PERMANENT: "failed permanently, shown to a person",
}
_GENERAL = (0x0000, 0xB000, 0xB006, 0xB007, 0x0111, 0x0110, 0x0122, 0x0124, 0x0213, 0xA700)


def store_section() -> str:
    """Return the section on storage as SCU."""
    rows = []
    for code in (*_GENERAL, 0xA770, *sorted(statuses.HELD), 0xA900, 0xC000):
        outcome, meaning = statuses.classify_status(code)
        rows.append((f"0x{code:04X}", meaning, _CONSEQUENCES[outcome]))
    return (
        "## Storage as SCU\n\n"
        "Used where a destination has an AE title. One association carries several objects, with a presentation context for each SOP\n"
        "class and transfer syntax: Explicit VR Little Endian as encoded, or Implicit VR Little Endian where the destination accepts\n"
        "nothing else. For destinations with `deflate = true`, segmentations and parametric maps are offered in Deflated Explicit VR\n"
        "Little Endian too, sent so where that is accepted, and again as encoded if the destination then answers with 0x0110 or\n"
        "0xCxxx. A report is sent after every object that it names, a\n"
        "rejection note after all other objects of its result. UIDs of results are derived from the input and the model, so an object\n"
        "that is sent twice is the same object. Without an answer, or if the association is rejected, refused or aborted, sending is\n"
        "retried with growing intervals.\n\n"
        + table(("status", "understood as", "then"), rows)
        + "\n\nOther statuses Axxx and 01xx to 02xx are classified by PS3.4 B.2.3 and PS3.7 C.5. Unlisted statuses are retried."
    )


def web_section() -> str:
    """Return the section on STOW-RS and on folders."""
    return """## STOW-RS as user agent

Used where a destination has `stow_url`: POST to `{stow_url}/studies` (PS3.18 10.5), `multipart/related; type="application/dicom"`, one
object in each request; the response is requested as `application/dicom+json`. An object counts as stored if Referenced SOP Sequence
(0008,1199) names it. A Failure Reason (0008,1197) in Failed SOP Sequence (0008,1198) is understood like the status of the same number
above. Without one, HTTP 400, 406, 413, 415 and 422 are permanent, 409 is held, and everything else is retried. Redirects are not
followed. HTTPS uses the certificate authorities of the system or of `tls`, a client certificate, a bearer token or basic
authentication. `destinations echo` and `doctor` search (QIDO-RS) for a study that does not exist.

Where a destination has `folder`, each object is one Part 10 file, named by the SHA-256 of its SOP Instance UID."""
