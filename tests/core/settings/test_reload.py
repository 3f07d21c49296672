"""What a running node takes over from a changed configuration, and what needs a restart."""

from core.settings.reload import differences, take_over
from core.settings.settings import Settings

BEFORE = Settings.model_validate(
    {"node": {"port": 104}, "receive": {"max_associations": 8, "acse_timeout_s": 5.0}, "sources": [{"ae_title": "CT", "host": "10.0.0.1"}]}
)
AFTER = Settings.model_validate(
    {
        "node": {"port": 105, "ae_title": "OTHER"},
        "receive": {"max_associations": 9, "acse_timeout_s": 6.0},
        "completion": {"settle_s": 3.0},
        "sources": [{"ae_title": "CT", "host": "10.0.0.1"}, {"ae_title": "MR", "host": "10.0.0.2"}],
        "destinations": [{"name": "archive", "folder": "/srv/results"}],
    }
)


def test_sources_destinations_and_limits_are_taken_over() -> None:
    taken = take_over(BEFORE, AFTER)
    assert differences(BEFORE, taken) == ("receive.max_associations", "completion.settle_s", "sources", "destinations")
    assert (taken.sources, taken.destinations, taken.completion) == (AFTER.sources, AFTER.destinations, AFTER.completion)
    assert (taken.node, taken.receive.acse_timeout_s) == (BEFORE.node, 5.0)


def test_the_rest_needs_a_restart() -> None:
    assert differences(take_over(BEFORE, AFTER), AFTER) == ("node.ae_title", "node.port", "receive.acse_timeout_s")


def test_equal_settings_have_no_differences() -> None:
    assert differences(AFTER, take_over(AFTER, AFTER)) == ()
