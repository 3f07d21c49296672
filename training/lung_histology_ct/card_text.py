"""The sentences of the card that say what was measured: written by the training, so that nobody has to edit them after it."""

from collections.abc import Mapping, Sequence
from typing import Any

ACROSS, ELSEWHERE, REFUSED = "Across patients", "Figures of other work", "Pictures that are no slice"


def limits(before: Sequence[str], metrics: Mapping[str, Any], epochs: int) -> tuple[str, ...]:
    """The card's limits with what ``metrics`` says; sentences of another training go, all others stay, in their order."""
    kept = [line for line in before if not line.startswith((ACROSS, ELSEWHERE, REFUSED))]
    return (*kept[:1], across(metrics), elsewhere(metrics, epochs), *kept[1:], refused(metrics))


def across(metrics: Mapping[str, Any]) -> str:
    """How well the classes are told apart in patients that were not seen, and whether that is more than chance."""
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


def elsewhere(metrics: Mapping[str, Any], epochs: int) -> str:
    """Why higher figures of the same data are in print."""
    own = metrics.get("own_split_with_shared_patients")
    here = f"; on that split this network, trained for {epochs} epochs, has an accuracy of {own['accuracy']:.2f}" if own else ""
    return (
        f"{ELSEWHERE} on this data set are often above 90 %: they come from its own split, which has slices of the same patients on "
        f"both sides{here}."
    )


def refused(metrics: Mapping[str, Any]) -> str:
    """What of pictures drawn here is refused."""
    kinds = {key.replace("_", " "): value for key, value in metrics["refused"].items() if key != "held_out"}
    told = ", ".join(f"{key} {100 * value:.4g} %" for key, value in kinds.items())
    return f"{REFUSED} of a chest CT are refused, though not certainly; refused of those drawn here: {told}."
