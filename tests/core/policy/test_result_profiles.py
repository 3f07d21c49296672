"""Which report fits which destination: it never names what the destination does not take."""

from hypothesis import given
from hypothesis import strategies as st

from core.policy.result_profiles import KeptObject, fitting, named_by, report_profile
from core.states import ReportKind

KINDS = st.frozensets(st.sampled_from(list(ReportKind)))
NAMES = st.sampled_from(["", "pacs", "archive"])


@given(KINDS, NAMES)
def test_a_profile_says_what_it_names(kinds: frozenset[ReportKind], only_for: str) -> None:
    assert named_by(report_profile(kinds, only_for)) == kinds - {ReportKind.SR}


def test_profiles_in_words() -> None:
    assert report_profile([ReportKind.SR]) == "sr"
    assert report_profile([ReportKind.SEG, ReportKind.HEATMAP]) == "sr+heatmap+seg"
    assert report_profile([ReportKind.SEG], "pacs") == "sr+seg@pacs"


@st.composite
def results(draw: st.DrawFn) -> list[KeptObject]:
    """Companions of some kinds, then reports of some profiles, as a worker keeps them."""
    companions = sorted(draw(KINDS) - {ReportKind.SR})
    profiles = draw(st.lists(st.tuples(KINDS, NAMES).map(lambda pair: report_profile(*pair)), min_size=1, max_size=5, unique=True))
    kept = [(kind, kind.value) for kind in companions] + [(ReportKind.SR, profile) for profile in profiles]
    return [KeptObject(number, kind, profile) for number, (kind, profile) in enumerate(kept, 1)]


@given(results(), KINDS, NAMES)
def test_a_destination_that_joins_gets_what_it_takes_and_no_report_that_names_more(
    kept: list[KeptObject], wanted: frozenset[ReportKind], destination: str
) -> None:
    sent, held = fitting(kept, wanted, destination)
    objects = {one.id: one for one in kept}
    assert all(objects[id].kind in wanted for id in sent)
    assert {one.id for one in kept if one.kind is not ReportKind.SR and one.kind in wanted} <= set(sent)
    reports = [objects[id] for id in sent if objects[id].kind is ReportKind.SR]
    assert len(reports) <= 1
    assert all(named_by(one.profile) <= wanted and one.profile.partition("@")[2] in ("", destination) for one in reports)
    if held is not None:
        assert not reports
        assert ReportKind.SR in wanted
        assert not named_by(objects[held].profile) <= wanted
