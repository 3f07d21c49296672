"""What an outcome and a confidence tier mean, in the words of reports and pages: a negative answer is nowhere taken for an exclusion."""

from core.states import Outcome, Tier

TIERS = {
    Tier.HIGH: "high confidence",
    Tier.REVIEW: "to be reviewed",
    Tier.UNCERTAIN: "uncertain",
}
"""How sure the model is of a finding; it says nothing of how grave the finding is."""
MEANINGS = {
    Outcome.FINDINGS: "For a clinician to look at. What is not listed is not excluded.",
    Outcome.NO_FINDING: "Nothing was found that reaches the operating point. This excludes nothing.",
    Outcome.ABSTAINED: "It ran and gives no answer. This is neither a positive nor a negative result.",
    Outcome.NOT_ANALYSED: "The images could not be analysed. This is no negative result.",
}
_HEADLINES = {
    Outcome.NO_FINDING: "No finding",
    Outcome.ABSTAINED: "No answer: the model abstained",
    Outcome.NOT_ANALYSED: "Not analysed",
}


def outcome_headline(outcome: Outcome, findings: int) -> str:
    """Return an outcome in few words, with the number of findings."""
    return _HEADLINES.get(outcome) or ("1 finding" if findings == 1 else f"{findings} findings")
