"""Receives storage commitment reports (N-EVENT-REPORT) of destinations, on whichever association they arrive."""

from collections.abc import Sequence
from typing import Any

import structlog

from core.errors import StorageError
from core.settings.delivery import DeliverySection
from db.commitment.destination_reports import ReportResult, ResendPolicy, record_report
from db.engine import Database
from dicom_node.commitment.datasets import ALL_COMMITTED, DUPLICATE_TRANSACTION, FAILURES_EXIST, decode_report, failure_reason_text
from dicom_node.statuses import SUCCESS

# PS3.7 10.1.1.1.8: statuses of an N-EVENT-REPORT
PROCESSING_FAILURE, NO_SUCH_EVENT_TYPE, INVALID_ARGUMENT, RESOURCE_LIMITATION = 0x0110, 0x0113, 0x0115, 0x0213


def receive_report(database: Database, delivery: DeliverySection, destinations: Sequence[str], event: Any) -> tuple[int, None]:
    """Record a report, and return the status for the destination.

    Success is returned only once the report is committed in the database: the destination does not send it again.

    Parameters
    ----------
    destinations
        Names of the destinations that this peer may report for.
    """
    log = structlog.get_logger().bind(destination=" ".join(destinations))
    if event.event_type not in (ALL_COMMITTED, FAILURES_EXIST):
        return NO_SUCH_EVENT_TYPE, None
    content = decode_report(event.event_information)
    # "Duplicate Transaction UID" says nothing about the objects: they stay open, and are requested again under another UID.
    failed = {uid: failure_reason_text(reason) for uid, reason in content.failed.items() if reason != DUPLICATE_TRANSACTION}
    try:
        result = record_report(
            database,
            destinations=destinations,
            transaction_uid=content.transaction_uid,
            committed=content.committed,
            failed=failed,
            policy=ResendPolicy(delivery.max_resends, delivery.retry_base_s, delivery.retry_cap_s),
        )
    except StorageError as error:
        log.error("commitment_report_not_stored", error=str(error))
        return RESOURCE_LIMITATION, None
    if result is ReportResult.UNKNOWN:
        log.warning("commitment_report_of_unknown_transaction")
        return INVALID_ARGUMENT, None
    if failed:
        log.error("commitment_refused", count=len(failed), reason="; ".join(sorted(set(failed.values()))))
    else:
        log.info("committed", count=len(content.committed))
    return SUCCESS, None
