"""What the verdict panel of one result shows: findings with their verdicts, what is open, and what the reader may do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from console.auth.access import CLINICIANS, UserRole
from core.clock import system_clock
from core.policy.verdicts import NO_ANSWER, RejectionReason
from core.records import Code
from core.settings.settings import Settings
from core.states import ResultKind
from db.accounts.sessions import Session
from db.verdicts.result_verdicts import ResultVerdicts

REASONS = {
    RejectionReason.NORMAL_ANATOMY: "Normal anatomy",
    RejectionReason.ARTIFACT: "Image artifact",
    RejectionReason.NOT_RELEVANT: "Present, but not relevant",
    RejectionReason.DUPLICATE: "Same as another finding",
    RejectionReason.POOR_IMAGE: "Image quality too poor",
    RejectionReason.OTHER: "Another reason",
}
"""Reasons for a rejection as people read them, in the order of their keys 1 to 6."""


@dataclass(frozen=True, slots=True)
class VerdictPanel:
    """The panel of one result. ``may_judge``: the reader's role may give verdicts, and the result is the current one."""

    job: Any
    findings: list[Any]
    verdicts: ResultVerdicts
    classes: Mapping[str, Code]
    may_judge: bool
    seen_at: datetime
    error: str = ""

    @property
    def judged(self) -> bool:
        """Whether everything that the result states was judged."""
        return self.verdicts.judged(finding.id for finding in self.findings)

    @property
    def no_answer(self) -> str:
        """Why nothing can be accepted or added as missed; "" where a model has answered."""
        return "" if self.findings else NO_ANSWER.get(self.job.outcome, "")

    @property
    def count(self) -> int:
        """How many findings were judged."""
        return sum(finding.id in self.verdicts.by_finding for finding in self.findings)


def build_panel(
    job: Any, findings: Iterable[Any], verdicts: ResultVerdicts, classes: Mapping[str, Code], session: Session, error: str = ""
) -> VerdictPanel:
    """Return the panel of a result for one reader. ``job`` and ``findings`` are rows of their tables."""
    current = job.state not in ("superseded", "cancelled")
    may_judge = current and UserRole(session.user.role) in CLINICIANS
    return VerdictPanel(job, list(findings), verdicts, classes, may_judge, system_clock(), error)


def assessment_destinations(settings: Settings) -> list[str]:
    """Return the names of the destinations whose result profile lists ``assessment``."""
    return [name for name, kinds in settings.result_profiles.items() if ResultKind.ASSESSMENT in kinds]
