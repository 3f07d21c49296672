"""N-EVENT-REPORT in: a destination answers a request of ours, on whichever association."""

from collections.abc import Sequence
from typing import Any

import structlog

from core.errors import StorageError
from core.settings.delivery import DeliverySection
from db.commitment import destination_requests
from db.commitment.destination_requests import Reported, Resending
from db.engine import Database
from dicom_node.commitment.datasets import ALL_COMMITTED, DUPLICATE_TRANSACTION, FAILURES_EXIST, read_report, reason_words
from dicom_node.statuses import SUCCESS

# PS3.7 10.1.1.1.8: statuses of an N-EVENT-REPORT
PROCESSING_FAILURE, NO_SUCH_EVENT_TYPE, INVALID_ARGUMENT, RESOURCE_LIMITATION = 0x0110, 0x0113, 0x0115, 0x0213


def take_report(database: Database, delivery: DeliverySection, destinations: Sequence[str], event: Any) -> tuple[int, None]:
    """Success only once the answer is committed in the database: the destination will not say it again.

    ``destinations``: the names under which the peer is asked.
    """
    log = structlog.get_logger().bind(destination=" ".join(destinations))
    if event.event_type not in (ALL_COMMITTED, FAILURES_EXIST):
        return NO_SUCH_EVENT_TYPE, None
    said = read_report(event.event_information)
    # A UID that is in use already says nothing of the objects: they stay open, and are asked for under another.
    failed = {uid: reason_words(reason) for uid, reason in said.failed.items() if reason != DUPLICATE_TRANSACTION}
    try:
        result = destination_requests.report(
            database,
            destinations=destinations,
            transaction_uid=said.transaction_uid,
            committed=said.committed,
            failed=failed,
            resending=Resending(delivery.max_resends, delivery.retry_base_s),
        )
    except StorageError as error:
        log.error("an answer on storage commitment could not be kept", error=str(error))
        return RESOURCE_LIMITATION, None
    if result is Reported.UNKNOWN:
        log.warning("an answer on storage commitment names a transaction that we do not know")
        return INVALID_ARGUMENT, None
    if failed:
        log.error("the destination did not commit to everything", count=len(failed), reason="; ".join(sorted(set(failed.values()))))
    else:
        log.info("committed", count=len(said.committed))
    return SUCCESS, None
