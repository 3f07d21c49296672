"""Identifiers of a finding in every object of its result, so that readers find its outline from its measurements (TID 4108)."""

from core.uids import result_uid
from workers.encode.analysis import Analysis


def tracking_uid(analysis: Analysis, number: int) -> str:
    """The same in every object and on retry; another one for every finding and revision. Number 0 is the unit as a whole."""
    return result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, "tracking", str(number))


def tracking_id(analysis: Analysis, number: int) -> str:
    """The identifier that people read: the model's name and the finding's number."""
    return f"{analysis.identity.name} {number}"
