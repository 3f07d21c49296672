"""``[delivery]``: sending of results."""

from pydantic import Field

from core.settings.section import Seconds, Section


class DeliverySection(Section):
    """``[delivery]``: attempts, waiting times and storage commitment of results."""

    lease_s: Seconds = Field(
        default=120.0,
        description="A claimed delivery belongs to its sender for this many seconds, and at least for twice `timeout_s`. Then another "
        "sender may claim it.",
    )
    max_attempts: int = Field(
        default=200,
        ge=1,
        description="Attempts before a delivery, or a storage commitment report to a source, fails permanently: two days at the longest "
        "wait between attempts. `dicom-node deliveries retry` and `commitments retry` start it again.",
    )
    retry_base_s: Seconds = Field(
        default=5.0, description="Seconds before the second attempt; each further wait is twice as long, with jitter."
    )
    retry_cap_s: Seconds = Field(default=900.0, description="Longest wait between two attempts, in seconds.")
    timeout_s: Seconds = Field(default=60.0, description="Longest wait for a response of a destination, in seconds.")
    probe_cap_s: Seconds = Field(
        default=60.0,
        description="Longest wait between two connection attempts to a destination that is unreachable, in seconds. The first wait is "
        "`retry_base_s`. Its deliveries are kept meanwhile and no attempt is counted.",
    )
    commitment_linger_s: Seconds = Field(
        default=2.0,
        description="Seconds for which the association of a storage commitment request stays open, for archives that report on the same "
        "association.",
    )
    commitment_answer_s: Seconds = Field(
        default=3600.0, description="A storage commitment request without a report is repeated after this many seconds."
    )
    max_resends: int = Field(
        default=3, ge=0, description="How often an object is sent again that the destination reports as not committed."
    )
