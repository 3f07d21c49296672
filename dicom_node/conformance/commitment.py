"""What the conformance statement says of storage commitment."""

from db.commitment.destination_requests import AT_ONCE
from dicom_node.commitment.datasets import CLASS_CONFLICT, NO_SUCH_INSTANCE, PROCESSING_FAILURE
from dicom_node.conformance.markdown import table


def commitment() -> str:
    reasons = [
        (f"0x{NO_SUCH_INSTANCE:04X}", "the instance is not held"),
        (f"0x{CLASS_CONFLICT:04X}", "it is held under another SOP class"),
        (f"0x{PROCESSING_FAILURE:04X}", "it is indexed, and its bytes are not there"),
    ]
    return f"""## Storage commitment

Storage Commitment Push Model, PS3.4 Annex J. **As SCU**: after C-STORE an N-ACTION (action type 1) for up to {AT_ONCE} instances that were
stored together, under a Transaction UID of its own. N-EVENT-REPORT is taken on the same association and on one that the destination
opens, with or without role selection. Instances that are reported as failed are sent again (`delivery.max_resends`); without an
answer within `delivery.commitment_answer_s` a new request follows. Answered with 0x0000 once the report is committed in the database,
0x0113 for another event type, 0x0115 for an unknown transaction, 0x0213 where the database is away, 0x0124 to a peer that is not asked.

**As SCP**: an N-ACTION of a source is answered with 0x0000 once it is committed in the database, 0x0112 for another SOP instance,
0x0123 for another action, 0x0120 without Transaction UID, 0x0115 without instances, 0x0213 where the database is away, 0x0124 to a peer
that is no source. N-EVENT-REPORT (event type 1 or 2) follows on an association to the source's `commitment` or `query` address,
proposed with the SCP role, again until it is answered with 0x0000; without such an address on the association of the request. Committed is
what has a row in the index and its bytes on disk. Failure Reasons (0008,1197):

{table(("reason", "when"), reasons)}"""
