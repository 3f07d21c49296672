"""One job for each model of the routes that take a unit: what it is compared with."""

from core.policy.priors.choice import PriorRule
from core.settings.routes import Route
from dicom_node.conduct.job_plans import ServedVersion, ServedVersions, job_plans

DIGEST, SHADOW = "d" * 64, "e" * 64


def route(name: str, **given: object) -> Route:
    return Route.model_validate({"name": name, "model": "m", "destinations": ["pacs"], "when": {"Modality": "CT"}, **given})


def test_the_first_route_that_compares_says_with_what_and_shadows_are_not_compared() -> None:
    routes = [route("one"), route("two", priors={"count": 2}), route("three", priors={"count": 3})]
    versions = ServedVersions(ServedVersion("1", DIGEST), (ServedVersion("2", SHADOW),))
    (plan, shadow), problems = job_plans(routes, lambda _: versions)
    assert problems == []
    assert plan.prior_rule == PriorRule(2, 1825, ("Modality",))
    assert (shadow.shadow, shadow.prior_rule) == (True, None)
    ((plain, _), _) = job_plans(routes[:1], lambda _: versions)
    assert plain.prior_rule is None
