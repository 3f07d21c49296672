"""Figures of a trial, on cases of which they can be counted by hand."""

import tracemalloc
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.policy.trial.agreement import MOST_DIFFERENCES
from core.policy.trial.cases import ClinicalReference, TrialAnswer, TrialCase, TrialMark, match_marks
from core.policy.trial.cautions import describe_cautions
from core.policy.trial.figures import MOST_REASONS, NO_RESULT, OTHER_REASONS, TrialFigures, TrialTally, compute_figures
from core.policy.trial.groups import UNKNOWN, describe_header
from core.policy.trial.id_set import IdSet
from core.policy.trial.reference import PairedDecisions
from core.states import JobState, Outcome
from tests.support.records import header

ATTRIBUTES = {"scanner": "ACME One", "slice thickness": "up to 1 mm", "kernel": "", "sex": "female", "age": "40 to 59"}


def nodule(x_mm: float, diameter_mm: float = 6.0) -> TrialMark:
    return TrialMark("nodule", (x_mm, 0.0, 0.0), diameter_mm, 0.9)


def answer(job: int, *marks: TrialMark, outcome: Outcome | None = None, version: str = "2.0", reason: str = "") -> TrialAnswer:
    given = outcome or (Outcome.FINDINGS if marks else Outcome.NO_FINDING)
    return TrialAnswer(job, version, version * 8, JobState.DELIVERED, given, reason, marks, 1.0, 0.5, 900 + job)


def case(
    unit: int, candidate: TrialAnswer | None, reported: TrialAnswer | None = None, reference: ClinicalReference | None = None
) -> TrialCase:
    return TrialCase(unit, unit, candidate, reported, reference, dict(ATTRIBUTES))


def label(name: str) -> TrialMark:
    return TrialMark(name, None, None, 0.8)


def test_marks_are_paired_with_the_nearest_of_their_class_within_the_radius() -> None:
    first, second = (nodule(0.0), nodule(3.0)), (nodule(4.0), nodule(30.0, 40.0))
    assert match_marks(first, second) == [(1, 0)]  # 1 mm apart; the other one is nearer to nothing that is free
    assert match_marks((nodule(0.0),), (nodule(5.1),)) == []
    assert match_marks((nodule(0.0),), (nodule(15.0, 40.0),)) == [(0, 0)], "within the radius of the larger one"
    assert match_marks((nodule(0.0),), (replace(nodule(0.0), label="mass"),)) == []
    assert match_marks((label("mel"),), (label("mel"),)) == [(0, 0)]


def test_agreement_of_a_detector_counts_marks_and_units() -> None:
    cases = [
        case(1, answer(1, nodule(0.0)), answer(11, nodule(1.0), version="1.0")),
        case(2, answer(2, nodule(0.0), nodule(50.0)), answer(12, nodule(0.0), nodule(90.0), version="1.0")),
        case(3, answer(3), answer(13, nodule(0.0), version="1.0")),
        case(4, answer(4, outcome=Outcome.ABSTAINED, reason="gaps"), answer(14, version="1.0")),
        case(5, None, answer(15, version="1.0")),
    ]
    figures = compute_figures(cases, "detect")
    (agreement,) = figures.agreement
    assert (agreement.version, agreement.same_outcome.count, agreement.same_outcome.n) == ("1.0", 2, 4)
    assert (agreement.same_answer.count, agreement.same_answer.n) == (1, 3)  # the unit without an answer does not count
    assert (agreement.repeated_marks.count, agreement.repeated_marks.n, agreement.added_marks) == (2, 4, 1)
    assert [one.unit_id for one in figures.differences] == [2, 3, 4]
    assert figures.differences[0].words.startswith("1 mark in common, 1 only of the version on trial, 1 only")
    assert figures.outcomes == {"findings": 2, "no_finding": 1, "abstained": 1, NO_RESULT: 1}
    assert figures.reasons == (("abstained", "gaps", 1),)
    assert (figures.answered, figures.seconds.units if figures.seconds else 0) == (3, 3)
    assert figures.memory_mib is not None
    assert (figures.memory_mib.median, figures.memory_mib.largest) == (902.5, 904)


def test_each_version_that_reported_is_compared_alone() -> None:
    cases = [
        case(1, answer(1, label("mel")), answer(11, label("mel"), version="1.0")),
        case(2, answer(2, label("nv")), answer(12, label("mel"), version="1.0")),
        case(3, answer(3, label("nv")), answer(13, label("nv"), version="0.9")),
        case(4, answer(4, label("nv")), answer(4, label("nv"))),  # the version on trial reported this one: that is no agreement
    ]
    first, second = compute_figures(cases, "classify").agreement
    assert (first.version, first.same_answer.count, first.same_answer.n, second.version) == ("1.0", 1, 2, "0.9")
    assert first.crossed == {("mel", "mel"): 1, ("mel", "nv"): 1}
    assert (first.repeated_marks.n, first.added_marks) == (0, 0)


def test_a_detector_against_the_decisions_of_clinicians() -> None:
    whole = ClinicalReference((nodule(0.0), nodule(50.0)), (nodule(90.0),), whole=True)
    part = ClinicalReference((nodule(0.0),), (), whole=False)
    cases = [
        case(1, answer(1, nodule(0.0), nodule(90.0), nodule(120.0)), answer(11, nodule(0.0), nodule(90.0), version="1.0"), whole),
        case(2, answer(2, nodule(200.0)), None, part),
        case(3, answer(3, outcome=Outcome.ABSTAINED), None, part),
    ]
    figures = compute_figures(cases, "detect")
    reference, reported = figures.reference, figures.reported_reference
    assert reference is not None
    assert reported is not None
    assert (reference.units, reference.unanswered) == (2, 1)
    assert (reference.right.count, reference.right.n) == (1, 3)
    assert (reference.false_marks.count, reference.false_marks.units) == (2, 1)  # the second unit was not judged as a whole
    assert (reference.rejected_again.count, reference.rejected_again.n) == (1, 1)
    assert (reported.units, reported.unanswered, reported.right.count, reported.right.n) == (1, 2, 1, 2)
    assert figures.paired == PairedDecisions(both=1, only_candidate=0, only_reported=0, neither=1)  # of the first unit
    assert reference.false_marks.low is not None
    assert reference.false_marks.high is not None
    assert reference.false_marks.low < 2.0 < reference.false_marks.high


def test_a_classifier_against_the_decisions_of_clinicians() -> None:
    def decided(*present: str, rejected: str = "") -> ClinicalReference:
        return ClinicalReference(tuple(map(label, present)), (label(rejected),) if rejected else (), whole=True)

    cases = [
        case(1, answer(1, label("mel")), None, decided("mel")),
        case(2, answer(2, label("nv")), None, decided("mel")),
        case(3, answer(3), None, decided("nv")),
        case(4, answer(4, label("df")), None, decided(rejected="df")),  # what it is instead is not known
    ]
    reference = compute_figures(cases, "classify").reference
    assert reference is not None
    both = [replace(one, reported=answer(90 + one.unit_id, label("mel"), version="1.0")) for one in cases]
    assert compute_figures(both, "classify").paired == PairedDecisions(both=1, only_candidate=0, only_reported=1, neither=1)
    assert (reference.right.count, reference.right.n) == (1, 3)
    assert reference.confusion == {("mel", "mel"): 1, ("mel", "nv"): 1, ("nv", ""): 1}
    assert {name: (share.count, share.n) for name, share in reference.by_class.items()} == {"mel": (1, 2), "nv": (0, 1)}
    assert (reference.rejected_again.count, reference.rejected_again.n) == (1, 1)
    assert reference.false_marks.value is None


def test_units_without_images_are_counted_apart_unless_they_were_tried_before() -> None:
    gone = replace(case(1, None), images_removed=True)
    tried = replace(case(2, answer(2)), images_removed=True)
    failed = case(3, TrialAnswer(3, "2.0", "d", JobState.FAILED, None, "no memory"))
    figures = compute_figures([gone, tried, failed], "detect")
    assert (figures.units, figures.studies, figures.images_removed) == (2, 2, 1)
    assert figures.outcomes == {"no_finding": 1, "not_analysed": 1}
    assert figures.reasons == (("not_analysed", "no memory", 1),)


def test_groups_are_those_of_the_headers() -> None:
    head = header(patient_sex="M", patient_birth_date="19500102", study_date="20100101", slice_thickness_mm=2.5, convolution_kernel="B30f")
    assert describe_header(head, "ACME") == {
        "scanner": "ACME", "slice thickness": "up to 3 mm", "kernel": "medium", "sex": "male", "age": "40 to 59",
    }  # fmt: skip
    older = describe_header(replace(head, study_date="20100102", slice_thickness_mm=7.0), "")
    assert (older["age"], older["slice thickness"]) == ("60 and more", "above 5 mm")
    assert set(describe_header(header(patient_birth_date="no date"), "").values()) == {""}
    other = replace(case(2, answer(2), answer(12, version="1.0")), attributes=dict(ATTRIBUTES) | {"sex": ""})
    figures = compute_figures([case(1, answer(1), answer(11, version="1.0")), case(3, None), other], "detect")
    by_sex = {one.value: one for one in figures.groups if one.attribute == "sex"}
    counts = {value: (one.units, one.answered.n, one.same_answer.n) for value, one in by_sex.items()}
    assert counts == {"female": (2, 1, 1), UNKNOWN: (1, 1, 1)}
    assert by_sex["female"].is_small
    assert "kernel" not in {one.attribute for one in figures.groups}, "no header states one"


def cautions(figures: TrialFigures, task: str = "detect", **given: bool) -> str:
    return " ".join(describe_cautions(figures, task, **{"has_active": True, "selected_by_conditions": False} | given))


def test_what_may_not_be_concluded_follows_from_the_figures() -> None:
    few = compute_figures([case(1, answer(1, nodule(0.0)), answer(11, version="1.0"))], "detect")
    said = cautions(few)
    assert "No clinician has judged" in said
    assert "Units that were answered: 1." in said
    assert "scanner ACME One" in said
    assert "All units have the same age, scanner, sex, slice thickness" in said
    assert "nothing to compare with" not in said
    assert "nothing to compare with" not in cautions(few, has_active=False), "a version that no longer serves has reported"
    alone = compute_figures([case(1, answer(1, nodule(0.0)))], "detect")
    assert "nothing to compare with" in cautions(alone, has_active=False)
    assert "applied to what is stored" in cautions(few, selected_by_conditions=True)
    reference = ClinicalReference((nodule(0.0),), (), whole=True)
    many = [case(unit, answer(unit, nodule(0.0)), None, reference) for unit in range(120)]
    said = cautions(compute_figures(many, "detect"))
    assert "No clinician" not in said
    assert "too few" not in said
    assert "Units that were answered" not in said
    assert "with the reported result on the screen" in said
    abstained = [case(200 + unit, answer(200 + unit, outcome=Outcome.ABSTAINED)) for unit in range(20)]
    assert "More than a tenth" in cautions(compute_figures([*many, *abstained], "detect"))
    assert "had deleted images of 1 further unit:" in cautions(
        compute_figures([replace(case(1, None), images_removed=True), *many], "detect")
    )


def test_a_classifier_is_warned_of_what_classifiers_have() -> None:
    """The caution about marks that no clinician was shown stood on pages of classifiers, which mark nothing."""
    reference = ClinicalReference((label("mel"),), (), whole=True)
    figures = compute_figures([case(1, answer(1, label("mel")), answer(11, label("mel"), version="1.0"), reference)], "classify")
    said = cautions(figures, "classify")
    assert "marks" not in said
    assert "Clinicians decided on 1 image or series of answered units" in said
    assert "the reported class on the screen" in said
    assert "the reported result on the screen" not in said
    rejected = replace(reference, present=(), rejected=(label("mel"),))
    figures = compute_figures([case(1, answer(1, label("mel")), None, rejected)], "classify")
    assert "Of 1 unit the decisions do not say the class" in cautions(figures, "classify")


def test_a_unit_of_which_clinicians_say_that_nothing_is_there_counts_for_a_classifier() -> None:
    """A version that finds something in every image was right in 100 %: units without a finding were not counted."""
    nothing, disc = ClinicalReference((), (), whole=True), ClinicalReference((label("disc"),), (), whole=True)
    cases = [
        case(1, answer(1, label("disc")), answer(11, version="1.0"), nothing),
        case(2, answer(2, label("disc")), answer(12, label("disc"), version="1.0"), disc),
    ]
    figures = compute_figures(cases, "classify")
    assert figures.reference is not None
    assert figures.reported_reference is not None
    assert (figures.reference.right.count, figures.reference.right.n) == (1, 2)
    assert (figures.reported_reference.right.count, figures.reported_reference.right.n) == (2, 2)
    assert (figures.reference.without_finding.count, figures.reference.without_finding.n) == (0, 1)
    assert (figures.reported_reference.without_finding.count, figures.reported_reference.without_finding.n) == (1, 1)
    assert figures.reference.confusion == {("", "disc"): 1, ("disc", "disc"): 1}
    assert figures.paired == PairedDecisions(both=1, only_candidate=0, only_reported=1, neither=0)


def test_the_answer_of_a_classifier_with_several_classes_is_all_of_them() -> None:
    """Only the first finding was compared, so that "effusion and nodule" was the same answer as "effusion"."""
    effusion, nodule_class = label("effusion"), label("nodule")
    both = ClinicalReference((nodule_class, effusion), (), whole=True)
    part = ClinicalReference((effusion,), (), whole=False)
    cases = [
        case(1, answer(1, effusion), answer(11, effusion, nodule_class, version="1.0"), both),
        case(2, answer(2, nodule_class, effusion), answer(12, effusion, nodule_class, version="1.0"), both),
        case(3, answer(3, effusion), answer(13, effusion, nodule_class, version="1.0"), part),
    ]
    figures = compute_figures(cases, "classify")
    (agreement,) = figures.agreement
    assert (agreement.same_answer.count, agreement.same_answer.n) == (1, 3)
    assert agreement.crossed == {("effusion + nodule", "effusion"): 2, ("effusion + nodule", "effusion + nodule"): 1}
    assert [one.unit_id for one in figures.differences] == [1, 3]
    reference = figures.reference
    assert reference is not None
    assert (reference.right.count, reference.right.n, reference.undecided) == (1, 2, 1)
    assert {name: (share.count, share.n) for name, share in reference.by_class.items()} == {"effusion": (2, 2), "nodule": (1, 2)}


def test_the_memory_of_a_tally_does_not_grow_with_the_units() -> None:
    """Of each unit 16 bytes are kept for the medians, and one or two bits; a case takes more than a kilobyte."""

    def bytes_kept(units: int) -> int:
        tally = TrialTally("detect")
        tracemalloc.start()
        try:
            for unit in range(1, units + 1):
                tally.add(case(unit, answer(unit, nodule(0.0)), answer(900_000 + unit, nodule(0.0), version="1.0")))
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            assert tally.figures().units == units

    some = bytes_kept(2000)
    assert bytes_kept(4000) - some < 32 * 2000


def test_a_list_that_is_full_still_counts() -> None:
    tally = TrialTally("detect")
    for unit in range(MOST_DIFFERENCES + 5):
        tally.add(case(unit, answer(unit, nodule(0.0)), answer(900_000 + unit, version="1.0")))
        tally.add(case(unit, answer(unit, outcome=Outcome.ABSTAINED, reason=f"reason {unit}")))
    figures = tally.figures()
    assert (figures.differing, len(figures.differences)) == (MOST_DIFFERENCES + 5, MOST_DIFFERENCES)
    assert len(figures.reasons) == MOST_REASONS + 1
    assert figures.reasons[0] == ("abstained", OTHER_REASONS, MOST_DIFFERENCES + 5 - MOST_REASONS)


@given(st.lists(st.integers(0, 1 << 40)))
def test_a_set_of_numbers_holds_what_was_added(numbers: list[int]) -> None:
    found = IdSet()
    for number in numbers:
        found.add(number)
    assert len(found) == len(set(numbers))
    assert all(number in found for number in numbers)
    assert not any(number + 1 in found for number in set(numbers) if number + 1 not in numbers)
