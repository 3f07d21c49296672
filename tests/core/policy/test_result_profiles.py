"""Selection of result objects for a destination: its report refers to nothing that it does not receive."""

from hypothesis import given
from hypothesis import strategies as st

from core.policy.result_profiles import ResultObjectRow, kinds_named_by, report_profile, select_for_destination
from core.states import ResultKind

KINDS = st.frozensets(st.sampled_from(list(ResultKind)))
NAMES = st.sampled_from(["", "pacs", "archive"])


@given(KINDS, NAMES)
def test_a_profile_lists_the_kinds_it_refers_to(kinds: frozenset[ResultKind], only_for: str) -> None:
    assert kinds_named_by(report_profile(kinds, only_for)) == kinds - {ResultKind.SR}


def test_names_of_profiles() -> None:
    assert report_profile([ResultKind.SR]) == "sr"
    assert report_profile([ResultKind.SEG, ResultKind.HEATMAP]) == "sr+heatmap+seg"
    assert report_profile([ResultKind.SEG], "pacs") == "sr+seg@pacs"


@st.composite
def results(draw: st.DrawFn) -> list[ResultObjectRow]:
    """Objects of some kinds, then reports of some profiles, as a worker stores them."""
    others = sorted(draw(KINDS) - {ResultKind.SR})
    profiles = draw(st.lists(st.tuples(KINDS, NAMES).map(lambda pair: report_profile(*pair)), min_size=1, max_size=5, unique=True))
    stored = [(kind, kind.value) for kind in others] + [(ResultKind.SR, profile) for profile in profiles]
    return [ResultObjectRow(number, kind, profile) for number, (kind, profile) in enumerate(stored, 1)]


@given(results(), KINDS, NAMES)
def test_an_added_destination_receives_its_kinds_and_a_report_that_refers_to_no_others(
    stored: list[ResultObjectRow], wanted: frozenset[ResultKind], destination: str
) -> None:
    sent, held = select_for_destination(stored, wanted, destination)
    objects = {row.id: row for row in stored}
    assert all(objects[id].kind in wanted for id in sent)
    assert {row.id for row in stored if row.kind is not ResultKind.SR and row.kind in wanted} <= set(sent)
    reports = [objects[id] for id in sent if objects[id].kind is ResultKind.SR]
    assert len(reports) <= 1
    assert all(kinds_named_by(row.profile) <= wanted and row.profile.partition("@")[2] in ("", destination) for row in reports)
    if held is not None:
        assert not reports
        assert ResultKind.SR in wanted
        assert not kinds_named_by(objects[held].profile) <= wanted
