"""The reason why no route took a unit, in one line for lists."""

from core.policy.routes.routing import NO_ROUTE_REASON
from core.policy.routes.unrouted_reason import LONGEST, short_reason


def test_the_nearest_route_is_named() -> None:
    routes = [
        "route 'skin': Modality is CT, wanted DMS; Rows is 512, wanted at least 600",
        "route 'chest': SliceThickness is 8, wanted at most 5",
    ]
    found = short_reason(f"{NO_ROUTE_REASON}: {' | '.join(routes)}")
    assert found == "route 'chest': SliceThickness is 8, wanted at most 5 (and 1 more)"
    assert short_reason(f"{NO_ROUTE_REASON}: {routes[1]}") == routes[1]


def test_long_and_other_reasons() -> None:
    assert short_reason("nothing but\nlocalizers") == "nothing but localizers"
    long = short_reason(f"{NO_ROUTE_REASON}: route 'a': {'x' * 300} | route 'b': y; z")
    assert len(long) == LONGEST
    assert long.endswith("… (and 1 more)")
    assert short_reason("") == ""
