"""Section on storage commitment."""

from db.commitment.destination_requests import MAX_INSTANCES
from dicom_node.commitment.datasets import CLASS_CONFLICT, NO_SUCH_INSTANCE, PROCESSING_FAILURE
from dicom_node.conformance.markdown import table


def commitment_section() -> str:
    """Return the section on storage commitment in both roles."""
    most = MAX_INSTANCES
    reasons = [
        (f"0x{NO_SUCH_INSTANCE:04X}", "the instance is not held"),
        (f"0x{CLASS_CONFLICT:04X}", "it is held under another SOP class"),
        (f"0x{PROCESSING_FAILURE:04X}", "it is indexed, but its bytes are missing"),
    ]
    return f"""## Storage commitment

Storage Commitment Push Model, PS3.4 Annex J. **As SCU**: after C-STORE, an N-ACTION (action type 1) for up to {most} instances that
were stored together, under a new Transaction UID. The N-EVENT-REPORT is accepted on the same association and on one that the
destination requests, with or without role selection. Instances that are reported as failed are sent again (`delivery.max_resends`).
Without a report within `delivery.commitment_answer_s` a new request follows. The report is answered with 0x0000 once it is committed in
the database, 0x0113 for another event type, 0x0115 for an unknown transaction, 0x0213 while the database is unavailable, and 0x0124 to a
peer that was not asked.

**As SCP**: an N-ACTION of a source is answered with 0x0000 once it is committed in the database, 0x0112 for another SOP instance,
0x0123 for another action, 0x0120 without Transaction UID, 0x0115 without instances, 0x0213 while the database is unavailable, and 0x0124
to a peer that is no source. The N-EVENT-REPORT (event type 1 or 2) is sent on an association to the source's `commitment` or `query`
address, proposed with the SCP role, and repeated until it is answered with 0x0000, at most `delivery.max_attempts` times; then a person
has it sent again or gives it up. Without such an address it is sent on the association of the request. An instance is committed if its
row is in the index and its bytes are on disk. Failure Reasons (0008,1197):

{table(("reason", "when"), reasons)}"""
