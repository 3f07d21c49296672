"""The jobs that follow from the routes of a complete unit: one for each model, and one for each of its shadow versions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.settings.routes import Route
from core.states import Priority
from db.jobs.job_records import JobPlan


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version of a model, and its pipeline digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class ServedVersions:
    """The versions of one model that run on a new unit.

    Attributes
    ----------
    serving
        The version whose results are delivered.
    shadows
        Versions that run on the same units, and are only compared.
    problem
        Why no version may serve; "" where one does. ``serving`` is then the version that the report names.
    """

    serving: ServedVersion
    shadows: tuple[ServedVersion, ...] = ()
    problem: str = ""


def job_plans(routes: Sequence[Route], served_versions: Callable[[str], ServedVersions]) -> tuple[tuple[JobPlan, ...], list[str]]:
    """Return one plan for each model, and one for each of its shadows.

    A plan has the destinations of all routes to its model, is urgent if one of them is, and compares with earlier results as the first of
    them says that does.

    Parameters
    ----------
    served_versions
        Returns the versions of the model of this name.

    Returns
    -------
    plans, problems
        Problems: a sentence for every route whose model cannot be used. Its plan is for a report that says so: the route claimed the
        unit, and no report at all would be read as a negative result.
    """
    found: list[JobPlan] = []
    problems: list[str] = []
    for model in dict.fromkeys(route.model for route in routes):
        of_model = [route for route in routes if route.model == model]
        versions = served_versions(model)
        if versions.problem:
            problems += [f"route '{route.name}' names model '{model}', which cannot be used: {versions.problem}" for route in of_model]
        plan = JobPlan(
            model=model,
            model_version=versions.serving.version,
            pipeline_digest=versions.serving.digest,
            routes=tuple(route.name for route in of_model),
            destinations=tuple(dict.fromkeys(name for route in of_model for name in route.destinations)),
            awaiting_verdict=_awaiting_verdict(of_model),
            priority=Priority.URGENT if any(route.priority is Priority.URGENT for route in of_model) else Priority.ROUTINE,
            failure_reason=f"model '{model}' cannot be used: {versions.problem}" if versions.problem else "",
            prior_rule=next((route.priors.rule for route in of_model if route.priors is not None), None),
        )
        found.append(plan)
        shadow_plan = replace(plan, destinations=(), awaiting_verdict=(), priority=Priority.ROUTINE, shadow=True, prior_rule=None)
        found += [replace(shadow_plan, model_version=shadow.version, pipeline_digest=shadow.digest) for shadow in versions.shadows]
    return tuple(found), problems


def _awaiting_verdict(routes: Sequence[Route]) -> tuple[str, ...]:
    """Return the destinations that every route which names them holds until a verdict."""
    at_once = {name for route in routes if route.release == "at_once" for name in route.destinations}
    return tuple(dict.fromkeys(name for route in routes for name in route.destinations if name not in at_once))
