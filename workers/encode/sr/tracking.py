"""How a finding is named in every object of its result, so that a reader finds its outline from its measurements."""

from core.uids import result_uid
from workers.encode.analysis import Analysis


def tracking_uid(analysis: Analysis, number: int) -> str:
    """The same on retry and in every object; another for every finding and revision. 0: what holds for the whole unit."""
    return result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, "tracking", str(number))


def tracking_id(analysis: Analysis, number: int) -> str:
    return f"{analysis.identity.name} {number}"
