"""``[completion]``: when a series counts as complete."""

from pydantic import Field

from core.settings.section import Seconds, Section


class CompletionSection(Section):
    """``[completion]``: waiting times of the rules in `core.policy.completeness`."""

    settle_s: float = Field(
        default=10.0,
        ge=0,
        description="A released association and a series without gap: complete after this many seconds without a further instance. A "
        "sender may need them to open a second association for the rest.",
    )
    quiet_s: float = Field(
        default=30.0,
        ge=0,
        description="Without better evidence: complete after this many seconds without an instance. An association that stays open delays "
        "completion no longer than this.",
    )
    max_wait_s: Seconds = Field(
        default=900.0,
        description="Complete at the latest this many seconds after the first instance, whatever is missing. It bounds the delay.",
    )
