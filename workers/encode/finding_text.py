"""Sentences about an answer that every object words alike: what was found, with which confidence, and where."""

from core.policy.priors.same_patient import left_out_in_words
from core.policy.priors.sentences import (
    NOT_MATCHED_TO_FINDINGS,
    TO_BE_CHECKED,
    compared_in_short,
    nothing_earlier,
    prior_in_words,
    without_counterpart,
)
from core.policy.result_words import MEANINGS, TIERS, outcome_headline
from core.records import Finding
from core.states import ModelStatus
from workers.encode.analysis import Analysis
from workers.encode.measurements import measurement_texts

NOT_ALONE = "Not for diagnosis without a clinician."
RESEARCH = "RESEARCH - not for clinical use"
RESEARCH_SHORT = "RESEARCH"
MAX_IN_SUMMARY = 5
MAX_LIMITS = 5


def confidence_text(finding: Finding) -> str:
    """The calibrated probability, else the score, with words that tell them apart."""
    if finding.probability is not None:
        return f"probability {format_percent(finding.probability)}, calibrated"
    return "no probability given" if finding.score is None else f"score {finding.score:.2f}, not calibrated"


def format_percent(probability: float) -> str:
    """Whole percent; never 0 or 100 %, which would claim certainty."""
    if probability < 0.01:
        return "below 1 %"
    return "above 99 %" if probability > 0.99 else f"{100 * probability:.0f} %"


def headline(finding: Finding, number: int | None = None) -> str:
    """One line about a finding: its number if one is given, what it is, its confidence and tier."""
    counted = "" if number is None else f"{number} · "
    return f"{counted}{finding.code.meaning}: {confidence_text(finding)}, {TIERS[finding.tier]}"


def location(analysis: Analysis, finding: Finding) -> str:
    """Site, image and position (LPS, mm) of a finding, as far as they are known."""
    parts = [site_text(finding)] if finding.site is not None else []
    image_name = analysis.source.image_name(finding.sop_instance_uid, finding.frame)
    if image_name and finding.position_mm is not None:
        parts.append(image_name)
    if finding.position_mm is not None:
        x, y, z = finding.position_mm
        parts.append(f"x {x:.0f}, y {y:.0f}, z {z:.0f}")
    elif finding.image_point is not None:
        parts.append(f"column {finding.image_point[0]:.0f}, row {finding.image_point[1]:.0f} of its image")
    return "; ".join(parts) or ("the whole series" if len(analysis.source.images) > 1 else "the whole image")


def site_text(finding: Finding) -> str:
    """The site or the part of it, with its side, such as ``Upper zone of lung, right``; "" without a site."""
    place = finding.zone or finding.site
    side = "" if finding.side is None else f", {finding.side.meaning.lower()}"
    return "" if place is None else f"{place.meaning}{side}"


def outcome_sentences(analysis: Analysis) -> tuple[str, str]:
    """(headline, explanation) of the whole analysis."""
    prediction = analysis.prediction
    return outcome_headline(prediction.outcome, len(prediction.findings)), MEANINGS[prediction.outcome]


def summary_text(analysis: Analysis) -> str:
    """The result in a few sentences: outcome, the first findings with size and place, what it means, and the status of the model."""
    prediction, identity = analysis.prediction, analysis.identity
    title, meaning = outcome_sentences(analysis)
    lines = [f"{title} by {identity.name} {identity.version} ({identity.title})."]
    lines += [_in_one_line(analysis, finding, number) for number, finding in enumerate(prediction.findings[:MAX_IN_SUMMARY], 1)]
    if (more := len(prediction.findings) - MAX_IN_SUMMARY) > 0:
        lines.append(f"{more} more below.")
    if prediction.reason:
        lines.append(f"Reason: {prediction.reason.rstrip('.')}.")
    if analysis.earlier is not None:
        earlier = analysis.earlier
        lines.append(compared_in_short(prediction.findings, earlier.priors, earlier.rule, earlier.left_out))
    lines += [*prediction.not_covered, meaning]
    if identity.status == ModelStatus.RESEARCH:
        lines.append(f"{RESEARCH}.")
    return " ".join(lines)


def _in_one_line(analysis: Analysis, finding: Finding, number: int) -> str:
    sizes = [text for text in measurement_texts(finding) if not text.startswith("Probability")][:1]
    return "; ".join([headline(finding, number), *(size.lower() for size in sizes), location(analysis, finding)]) + "."


def comparison_lines(analysis: Analysis) -> list[str]:
    """The sentences on the earlier results with which the result was compared; none if the route asks for no comparison."""
    earlier = analysis.earlier
    if earlier is None:
        return []
    if not earlier.priors:
        return [nothing_earlier(earlier.rule, earlier.left_out)]
    lines = [prior_in_words(prior) for prior in earlier.priors]
    if earlier.matched:
        lines += [TO_BE_CHECKED, without_counterpart(analysis.prediction.findings, earlier.priors[0])]
    else:
        lines.append(NOT_MATCHED_TO_FINDINGS)
    lines.append(left_out_in_words(earlier.left_out))
    return [line for line in lines if line]


def reported_limits(analysis: Analysis) -> tuple[tuple[str, ...], str]:
    """The limits of the model that a report lists, and a sentence that refers to the card for the others; "" if there are none."""
    more = len(analysis.limits) - MAX_LIMITS
    card = f"the model card of {analysis.identity.name} {analysis.identity.version}"
    return analysis.limits[:MAX_LIMITS], f"{more} further limits are in {card}." if more > 0 else ""


def model_line(analysis: Analysis) -> str:
    """Name, version and the first 12 digits of the pipeline digest, which Contributing Equipment Sequence has in full."""
    identity = analysis.identity
    return f"{identity.name} {identity.version} · {identity.digest[:12]}"
