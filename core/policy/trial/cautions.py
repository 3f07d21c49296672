"""What may not be concluded from the figures of a trial, in sentences for radiologist and administrator."""

from core.counted import counted
from core.policy.proportions import Share
from core.policy.trial.figures import NO_RESULT, TrialFigures
from core.policy.trial.groups import LEAST_OF_GROUP, UNKNOWN
from core.states import Outcome

LEAST_UNITS = 100  # answered: with fewer, intervals of shares are about 20 points wide and more
LEAST_REFERENCE = 30  # findings or images that clinicians decided on
MOST_NOT_ANSWERED = 0.1


def describe_cautions(figures: TrialFigures, task: str, *, has_active: bool, selected_by_conditions: bool) -> tuple[str, ...]:
    """Return the sentences, the gravest first.

    Parameters
    ----------
    task
        classify or detect, as the card of the version says: a classifier has no marks.
    has_active
        A version of the model serves, so that there was something to compare with.
    selected_by_conditions
        The routes were applied to stored units, because no version served when they came.
    """
    reference = figures.reference
    few = sorted({f"{one.attribute} {one.value}" for one in figures.groups if one.is_small and one.value != UNKNOWN})
    single = sorted(name for name, values in _values_by_attribute(figures).items() if len(values) == 1)
    unstated = sorted(name for name, values in _values_by_attribute(figures).items() if UNKNOWN in values)
    waiting = figures.outcomes.get(NO_RESULT, 0)
    decided, undecided = (reference.right.n, reference.undecided) if reference else (0, 0)
    what = ("image or series", "images or series") if task == "classify" else ("finding", "findings")
    candidates = (
        (waiting > 0, f"{counted(waiting, 'unit has', 'units have')} no result yet: the trial is not complete."),
        (reference is None, "No clinician has judged a result of these units: nothing here says whether an answer is right. "
         "Agreement with the version that reported is no accuracy: both can be wrong in the same way."),
        (reference is not None and decided < LEAST_REFERENCE,
         f"Clinicians decided on {counted(decided, *what)} of answered units: too few for a statement on accuracy."),
        (reference is not None, _clinicians_saw(task)),
        (undecided > 0, f"Of {counted(undecided, 'unit', 'units')} the decisions do not say the class: one was rejected and no other one "
         "named, or not every finding was judged. They count in no share, which favours the version that reported."),
        (figures.answered < LEAST_UNITS, f"Units that were answered: {figures.answered}. With fewer than {LEAST_UNITS}, rare "
         "errors do not occur and the intervals are wide."),
        (not has_active and not figures.agreement,
         "No version of the model serves: there is nothing to compare with, and no clinician has seen results of it."),
        (selected_by_conditions, "The routes were applied to what is stored. Units that a sender would send for these routes, and "
         "did not, are missing."),
        (_share_not_answered(figures) > MOST_NOT_ANSWERED, "More than a tenth of the units has no answer. The figures hold for the others, "
         "which may be the easier ones."),
        (figures.images_removed > 0,
         f"Before the trial, retention had deleted images of {counted(figures.images_removed, 'further unit')}: "
         "the units that were tried are the more recent ones."),
        (bool(few), f"Groups with fewer than {LEAST_OF_GROUP} answered units, on which nothing can be said alone: {', '.join(few)}."),
        (bool(single), f"All units have the same {', '.join(single)}: the trial says nothing about others."),
        (bool(unstated), f"Not all headers state {', '.join(unstated)}."),
        (True, "Units were not drawn at random. If any of them was used to train or to choose the version, the figures are too good."),
        (True, "Findings of one unit, and units of one patient, depend on each other, so the true intervals are wider than those shown."),
    )  # fmt: skip
    return tuple(sentence for applies, sentence in candidates if applies)


def _clinicians_saw(task: str) -> str:
    """The bias of decisions that were made on a result."""
    if task == "classify":
        return (
            "The clinicians decided with the reported class on the screen: where it was wrong and they accepted it, the version on trial "
            "counts as wrong. This favours the version that reported; and clinicians choose what they judge."
        )
    return (
        "The clinicians decided with the reported result on the screen. What both that version and the clinician overlooked is missing "
        "from the reference, and marks of the version on trial that no clinician was shown count as false. This favours the version that "
        "reported; and clinicians choose what they judge."
    )


def _values_by_attribute(figures: TrialFigures) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for group in figures.groups:
        found.setdefault(group.attribute, set()).add(group.value)
    return found


def _share_not_answered(figures: TrialFigures) -> float:
    without = sum(figures.outcomes.get(outcome, 0) for outcome in (Outcome.ABSTAINED, Outcome.NOT_ANALYSED))
    return Share(without, without + figures.answered).value or 0.0
