"""The sentences of the card that hold measured figures. The training writes them, so that nobody edits the card afterwards.

Their wording is that of the shipped card.
"""

from collections.abc import Mapping, Sequence
from typing import Any

ACROSS, OTHER_WORK, REFUSED = "Across patients", "Figures of other work", "Pictures that are no slice"


def card_limits(before: Sequence[str], metrics: Mapping[str, Any], epochs: int) -> tuple[str, ...]:
    """The card's limits with the figures of ``metrics``; sentences of an earlier training are replaced, all others keep their order."""
    kept = [line for line in before if not line.startswith((ACROSS, OTHER_WORK, REFUSED))]
    return (*kept[:1], across_patients(metrics), other_work(metrics, epochs), *kept[1:], refused_pictures(metrics))


def across_patients(metrics: Mapping[str, Any]) -> str:
    """The macro AUC for patients that were not in the training, and whether it is better than chance."""
    if "macro_auc" not in metrics.get("intervals", {}):
        return f"{ACROSS} nothing was measured: too few slices."
    low, high = metrics["intervals"]["macro_auc"]
    better = "better than by chance" if low > 0.5 else "no better than by chance"
    share = metrics["answered"]["share"]
    return (
        f"{ACROSS} (clusters of like chests) the four classes were told apart with a macro AUC of {metrics['macro_auc']:.2f} "
        f"(95 %: {low:.2f} to {high:.2f}), {better}; {100 * share:.0f} % of the held-out slices got an answer, "
        "the model abstains from all others."
    )


def other_work(metrics: Mapping[str, Any], epochs: int) -> str:
    """Why published figures on the same data are higher."""
    own = metrics.get("own_split_with_shared_patients")
    here = f"; on that split this network, trained for {epochs} epochs, has an accuracy of {own['accuracy']:.2f}" if own else ""
    return (
        f"{OTHER_WORK} on this data set are often above 90 %: they come from its own split, which has slices of the same patients on "
        f"both sides{here}."
    )


def refused_pictures(metrics: Mapping[str, Any]) -> str:
    """The refused shares of drawn pictures."""
    kinds = {key.replace("_", " "): value for key, value in metrics["refused"].items() if key != "held_out"}
    listed = ", ".join(f"{key} {100 * value:.4g} %" for key, value in kinds.items())
    return f"{REFUSED} of a chest CT are refused, though not certainly; refused of those drawn here: {listed}."
