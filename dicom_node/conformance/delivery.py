"""What the conformance statement says of the transports beside C-STORE."""


def web() -> str:
    return """## STOW-RS as user agent

Where a destination has `stow_url`: POST to `{stow_url}/studies` (PS3.18 10.5), `multipart/related; type="application/dicom"`, one
object in each request; the answer is wanted as `application/dicom+json`. Stored is what Referenced SOP Sequence (0008,1199) names; a
Failure Reason (0008,1197) in Failed SOP Sequence (0008,1198) is understood as the status of that number above. Without one, HTTP 400,
406, 413, 415 and 422 are permanent, 409 is held, everything else is tried again. Redirects are not followed. HTTPS with the
authorities of the system or of `tls`, a client certificate, a bearer token or basic authentication. `destinations echo` and `doctor`
search (QIDO-RS) for a study that nobody has.

Where a destination has `folder`: one Part 10 file for each object, named by the SHA-256 of its SOP Instance UID."""
