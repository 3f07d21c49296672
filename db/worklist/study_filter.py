"""What the worklist is narrowed to, as SQL conditions on ``studies st``."""

import re
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from db.row_values import escape_like

TRIGRAM = 3
MOST_WORDS = 8
DAY = timedelta(days=1)
_SEPARATORS = re.compile(r"[\s,^=]+")

_WORD = "st.search_text LIKE lower(:{pattern})"
_TRIGRAMS = "search_trigrams(st.search_text) @> search_trigrams(lower(:{word}))"
_JOB_EXISTS = """EXISTS (SELECT FROM series se JOIN units u ON u.series_id = se.id
    JOIN jobs j ON j.unit_id = u.id AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled') WHERE se.study_id = st.id AND {})"""
_VERDICT_OPEN = """((j.awaiting_verdict <> '{}'
        AND EXISTS (SELECT FROM deliveries d WHERE d.job_id = j.id AND d.awaiting_verdict AND d.state = 'held'))
    OR (j.outcome = 'findings' AND EXISTS (SELECT FROM findings f WHERE f.job_id = j.id
        AND NOT EXISTS (SELECT FROM verdicts v WHERE v.finding_id = f.id)))
    OR (j.outcome = 'no_finding' AND NOT EXISTS (SELECT FROM verdicts v WHERE v.job_id = j.id AND v.verdict <> 'retracted'
        AND NOT EXISTS (SELECT FROM verdicts later WHERE later.supersedes = v.id))))"""
_OF_VERDICT = {"open": _VERDICT_OPEN, "given": "EXISTS (SELECT FROM verdicts v WHERE v.job_id = j.id)"}
# What one job, and one finding of it, must be.
_OF_JOB = {
    "model": "j.model = :model",
    "outcome": "j.outcome = :outcome",
    "destination": "EXISTS (SELECT FROM deliveries d WHERE d.job_id = j.id AND d.destination = :destination)",
}
_OF_FINDING = {"tier": "f.tier = :tier", "finding": "f.label = :finding"}
_OF_JOB_STATE = {
    "failed": "j.state IN ('failed', 'quarantined')",
    **{state: f"j.state = '{state}'" for state in ("queued", "running", "reported", "delivered")},
}
_CONDITIONS = {
    "modality": "EXISTS (SELECT FROM series se WHERE se.study_id = st.id AND se.modality = :modality)",
    "since": "st.first_received_at >= :since",
    "until": "st.first_received_at < :until",
}
_OF_STATE = {
    "receiving": "EXISTS (SELECT FROM series se JOIN units u ON u.series_id = se.id WHERE se.study_id = st.id AND u.state = 'open')",
    "not_routed": f"""EXISTS (SELECT FROM series se JOIN units u ON u.series_id = se.id WHERE se.study_id = st.id
        AND u.state = 'complete' AND u.outcome IS NOT NULL) AND NOT {_JOB_EXISTS.format("true")}""",
}

VERDICTS = tuple(_OF_VERDICT)
"""What a study can be narrowed to by verdicts: open (a result that a clinician has not judged, or that waits for it), given."""


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """What the worklist is narrowed to; an empty value narrows nothing. ``text`` is searched in name, ID, accession and description.

    ``zone``: of which ``since`` and ``until`` are days.
    """

    text: str = ""
    modality: str = ""
    model: str = ""
    outcome: str = ""
    tier: str = ""
    finding: str = ""
    destination: str = ""
    state: str = ""
    verdict: str = ""
    since: date | None = None
    until: date | None = None
    zone: tzinfo = UTC

    @property
    def narrows(self) -> bool:
        """Whether anything is asked."""
        return any(getattr(self, one.name) for one in fields(self) if one.name != "zone")

    @property
    def newest_kind(self) -> str:
        """The condition by which the newest units are looked for (`db.worklist.study_numbers`); "" where there is none."""
        if self.tier and self.finding:
            return "finding"
        if self.outcome or self.state == "not_routed":
            return "outcome" if self.outcome else self.state
        return self.verdict if self.verdict == "given" else ""

    def conditions(self) -> tuple[list[str], dict[str, Any]]:
        """Return SQL conditions, and the values that they name. Every word of ``text`` must be there, in any order."""
        values: dict[str, Any] = {name: getattr(self, name) for name in (*_CONDITIONS, *_OF_JOB, *_OF_FINDING) if getattr(self, name)}
        if self.since:
            values["since"] = datetime.combine(self.since, time(), self.zone)
        if self.until:  # until the next day begins; there is none after the last one
            values["until"] = datetime.combine(min(self.until, date.max - DAY) + DAY, time(), self.zone)
        conditions = [condition for name, condition in _CONDITIONS.items() if name in values]
        if of_job := self._of_job(values):
            conditions.append(_JOB_EXISTS.format(" AND ".join(of_job)))
        if self.state in _OF_STATE:
            conditions.append(_OF_STATE[self.state])
        for number, word in enumerate([word for word in _SEPARATORS.split(self.text) if word][:MOST_WORDS]):
            name, pattern = f"word_{number}", f"pattern_{number}"
            values[pattern] = f"%{escape_like(word)}%"
            conditions.append(_WORD.format(pattern=pattern))
            if len(word) >= TRIGRAM:
                values[name] = word
                conditions.append(_TRIGRAMS.format(word=name))
        return conditions, values

    def _of_job(self, values: dict[str, Any]) -> list[str]:
        """Return the conditions that one job must fulfil: a study passes if one of its jobs fulfils all of them."""
        found = [condition for name, condition in _OF_JOB.items() if name in values]
        of_finding = [condition for name, condition in _OF_FINDING.items() if name in values]
        if of_finding:
            found.append(f"EXISTS (SELECT FROM findings f WHERE f.job_id = j.id AND {' AND '.join(of_finding)})")
        if self.state in _OF_JOB_STATE:
            found.append(_OF_JOB_STATE[self.state])
        if self.verdict in _OF_VERDICT:
            found.append(_OF_VERDICT[self.verdict])
        return found
