"""Codes of verdicts and of reasons for a rejection, as an assessment states them.

No code for them was found in PS3.16 (searched in pydicom's dictionaries of the content mapping resource), apart from the image artifact.
"""

from collections.abc import Mapping

from core.concepts import codes, private_codes
from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import Code

VERDICTS: Mapping[VerdictKind, Code] = {
    VerdictKind.ACCEPTED: private_codes.ACCEPTED,
    VerdictKind.CORRECTED: private_codes.CORRECTED,
    VerdictKind.REJECTED: private_codes.VERDICT_REJECTED,
    VerdictKind.MISSED: private_codes.MISSED,
}
REASONS: Mapping[RejectionReason, Code] = {
    RejectionReason.NORMAL_ANATOMY: private_codes.REASON_NORMAL,
    RejectionReason.ARTIFACT: codes.IMAGE_ARTIFACT,
    RejectionReason.NOT_RELEVANT: private_codes.REASON_NOT_RELEVANT,
    RejectionReason.DUPLICATE: private_codes.REASON_DUPLICATE,
    RejectionReason.POOR_IMAGE: private_codes.REASON_POOR_IMAGE,
    RejectionReason.OTHER: private_codes.REASON_OTHER,
}
