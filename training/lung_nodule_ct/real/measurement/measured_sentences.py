"""The sentences of the card of `lung_nodule_ct` that state measured figures, written from the figures."""

from collections.abc import Mapping
from typing import Any

from models.card import ModelCard

Figures = Mapping[str, Any]


def measured_sentences(before: ModelCard, figures: Figures, figures_before: Figures, differences: Figures) -> tuple[str, tuple[str, ...]]:
    """``looked_for`` and ``limits`` of the new card: those of ``before``, with the sentences that begin as these do replaced.

    ``figures`` and ``figures_before`` are of ``real_metrics`` on the same scans, ``differences`` by metric with ``before``, ``after``,
    ``low`` and ``high``.

    Raises
    ------
    ValueError
        The card before has no sentence that begins so.
    """
    volumes, drawings = figures["volumes"], figures["scans"] // figures["volumes"]
    change = differences["sensitivity_at_4_false_marks"]
    uncertain, error = figures["uncertain_marks_per_scan"], figures["calibration_error"]
    pleural, tumours = found(figures, "pleural"), found(figures, "marked_tumours")
    sentences = (
        f"Measured on five real volumes (LIDC-IDRI 0001 and 0745, QIN LSC-0028, LSC-0064 and LUNG-01-0013) with nodules of half of the "
        f"patients of 1,309 real nodules, none of which it was trained on; nodules and their places were drawn {drawings} times for each "
        f"volume. Marked of the pasted real nodules: "
        f"{found(figures, '10_to_20_mm')} of 10 to 20 mm, {found(figures, '6_to_10_mm')} of 6 to 10 mm, {found(figures, '4_to_6_mm')} of 4 "
        f"to 6 mm, and {pleural} of those at the pleura; {tumours} tumours of 24 to 46 mm that readers marked; with "
        f"{figures['false_positives_per_scan']:g} false marks per scan. The operating point was chosen on the same volumes.",
        f"Version {before.version} marks of the same nodules in the same volumes {found(figures_before, '10_to_20_mm')}, "
        f"{found(figures_before, '6_to_10_mm')} and {found(figures_before, '4_to_6_mm')}, and {found(figures_before, 'marked_tumours')} "
        f"tumours, with {figures_before['false_positives_per_scan']:g} false marks per scan. At 4 false marks per scan the sensitivity "
        f"changed from {change['before']:.2f} to {change['after']:.2f} (95 % interval of the difference {change['low']:+.3f} to "
        f"{change['high']:+.3f}).",
        f"In volumes where readers marked one tumour only, marks on other compact structures ({uncertain:g} per scan) are counted "
        f"neither as right nor as wrong.",
        f"The probability is a logistic regression of both stages' scores and the diameter, fitted to the five volumes that were not "
        f"trained on, as if each held 1.5 nodules; its expected calibration error over volumes left out in turn is {error:g}. With "
        f"{figures['by_group']['from_4_mm']['n']} pasted nodules in {volumes} patients this is a rough measure.",
    )
    limits = list(before.limits)
    for sentence in sentences:
        limits[index_of(limits, sentence)] = sentence
    looked_for = (
        f"Solid, part-solid and ground-glass nodules of 4 to 30 mm inside the lung fields were looked for, at an operating point that "
        f"marks {found(figures, '10_to_20_mm')} real nodules of 10 to 20 mm, {found(figures, '6_to_10_mm')} of 6 to 10 mm and "
        f"{found(figures, '4_to_6_mm')} of 4 to 6 mm in volumes not seen in training, at {figures['false_positives_per_scan']:g} false "
        f"marks per series; this excludes nothing."
    )
    return looked_for, tuple(limits)


def found(figures: Figures, group: str) -> str:
    """For example "35 of 37": the nodules of a group that are marked at the operating point."""
    own = figures["by_group"].get(group, {"found_at_the_operating_point": 0, "n": 0})
    return f"{own['found_at_the_operating_point']} of {own['n']}"


def index_of(limits: list[str], sentence: str) -> int:
    """The place of the limit that begins with the same two words."""
    begin = " ".join(sentence.split()[:2]).split(" 0.")[0]
    for index, limit in enumerate(limits):
        if limit.startswith(begin):
            return index
    raise ValueError(f"the card has no limit that begins with {begin!r}")
