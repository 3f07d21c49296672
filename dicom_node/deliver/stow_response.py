"""What the response of a STOW-RS service means for the object that was sent (PS3.18 10.5.3)."""

import json
from collections.abc import Mapping
from typing import Any

from dicom_node.deliver.transport_types import SendResult
from dicom_node.statuses import SendOutcome, classify_status

# PS3.18 Table 10.5.3-1 and RFC 9110. Errors of the object are permanent; errors of the moment or of the configuration are retried.
_PERMANENT = {
    400: "the request is refused as malformed",
    406: "no acceptable media type",
    413: "the object is too large for the service",
    415: "the service does not take this kind of object or transfer syntax",
    422: "the object is refused as invalid",
}
_TRANSIENT = {
    401: "the credentials are not accepted",
    403: "not authorised",
    404: "the service is not at this URL",
    405: "the service is not at this URL",
    408: "the service timed out",
    429: "too many requests",
    503: "the service is busy",
}
_CONFLICT = "conflict: the archive holds other patient or study attributes under these identifiers, or refuses the study"
# Tags of the DICOM JSON model (PS3.18 Annex F)
_REFERENCED_SOP_SEQUENCE, _FAILED_SOP_SEQUENCE, _SOP_INSTANCE_UID = "00081199", "00081198", "00081155"
_WARNING_REASON, _FAILURE_REASON = "00081196", "00081197"


def http_status_text(status: int) -> str:
    """Return an HTTP error in words; "" where it is not known."""
    return _TRANSIENT.get(status) or _PERMANENT.get(status) or ""


def interpret_response(http_status: int, body: bytes, sop_instance_uid: str) -> SendResult:
    """Return what the response says about one instance.

    An item of Failed SOP Sequence (0008,1198) with its Failure Reason (0008,1197) takes precedence over the HTTP status. An object counts
    as stored only where Referenced SOP Sequence (0008,1199) names it: the sign-in page of a proxy has status 200 too.
    """
    dataset = _decode_body(body)
    failed = _items_by_instance(dataset, _FAILED_SOP_SEQUENCE).get(sop_instance_uid)
    if failed is not None:
        reason = _integer(failed, _FAILURE_REASON)
        if reason is None:
            return SendResult(SendOutcome.HELD, f"{_CONFLICT} (no reason is given)" if http_status == 409 else "refused without a reason")
        outcome, text = classify_status(reason)
        return SendResult(outcome, text, reason)
    stored = _items_by_instance(dataset, _REFERENCED_SOP_SEQUENCE).get(sop_instance_uid)
    if stored is not None and http_status < 300:
        warning = _integer(stored, _WARNING_REASON)
        return SendResult(SendOutcome.STORED, "stored" if not warning else classify_status(warning)[1], warning or 0)
    if http_status == 409:
        return SendResult(SendOutcome.HELD, _CONFLICT)
    if http_status in _PERMANENT:
        return SendResult(SendOutcome.PERMANENT, f"HTTP {http_status}: {_PERMANENT[http_status]}")
    if http_status < 300:
        text = f"HTTP {http_status}, but the answer does not say that the object is stored: is this the DICOMweb service?"
        return SendResult(SendOutcome.TRANSIENT, text)
    text = f"HTTP {http_status}: {_TRANSIENT.get(http_status, 'the service failed')}"
    return SendResult(SendOutcome.TRANSIENT, text, connection_lost=True)


def _decode_body(content: bytes) -> Mapping[str, Any]:
    """Return the DICOM JSON data set of a body; empty where it is none."""
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError):  # no JSON, or lists within lists without end
        return {}
    if isinstance(decoded, list):
        decoded = decoded[0] if decoded else {}
    return decoded if isinstance(decoded, dict) else {}


def _items_by_instance(dataset: Mapping[str, Any], tag: str) -> dict[str, Mapping[str, Any]]:
    """Return the items of a sequence by their Referenced SOP Instance UID."""
    items = [item for item in _values(dataset, tag) if isinstance(item, dict)]
    return {str(values[0]): item for item in items if (values := _values(item, _SOP_INSTANCE_UID))}


def _integer(item: Mapping[str, Any], tag: str) -> int | None:
    values = _values(item, tag)
    try:
        return int(values[0]) if values else None
    except (TypeError, ValueError, OverflowError):
        return None


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    """Return the values of an attribute; empty where it is absent or not as the JSON model says."""
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []
