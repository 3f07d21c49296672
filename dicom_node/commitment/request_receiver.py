"""Receives storage commitment requests (N-ACTION) of sources. The report follows later: see `report_sender`."""

from typing import Any

import structlog

from core.errors import StorageError
from db.commitment import source_requests
from db.engine import Database
from dicom_node.commitment.datasets import PUSH_MODEL_INSTANCE, REQUEST_ACTION, decode_request
from dicom_node.statuses import SUCCESS

# PS3.7 10.1.4.1.10: statuses of an N-ACTION
NO_SUCH_INSTANCE, INVALID_ARGUMENT, MISSING_ATTRIBUTE, NO_SUCH_ACTION, RESOURCE_LIMITATION = 0x0112, 0x0115, 0x0120, 0x0123, 0x0213

MAX_UID_CHARS = 64


def receive_request(database: Database, source: str, event: Any, *, reserve_s: float = 0.0) -> tuple[int, int | None]:
    """Store a request, and return the status for the source and the id of the request.

    Success means that the request is committed in the database and will be reported on.

    Parameters
    ----------
    reserve_s
        How long the role ``send`` leaves the report to the calling process.
    """
    if str(event.request.RequestedSOPInstanceUID or "") != PUSH_MODEL_INSTANCE:
        return NO_SUCH_INSTANCE, None
    if event.action_type != REQUEST_ACTION:
        return NO_SUCH_ACTION, None
    transaction_uid, instances = decode_request(event.action_information)
    if not transaction_uid:
        return MISSING_ATTRIBUTE, None
    if not instances or any(len(uid) > MAX_UID_CHARS for pair in ((transaction_uid, ""), *instances) for uid in pair):
        return INVALID_ARGUMENT, None
    log = structlog.get_logger().bind(source=source)
    try:
        id = source_requests.record_source_request(
            database, source=source, transaction_uid=transaction_uid, instances=instances, reserve_s=reserve_s
        )
    except StorageError as error:
        log.error("commitment_request_not_stored", error=str(error))
        return RESOURCE_LIMITATION, None
    log.info("commitment_request_received", count=len(instances))
    return SUCCESS, id
