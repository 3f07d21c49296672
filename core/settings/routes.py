"""``[[routes]]``: the rules that select a model and destinations for a unit."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, field_validator

from core.policy.priors.choice import SAME_KEYWORDS, PriorRule
from core.policy.priors.sentences import rule_in_words
from core.policy.routes.condition_parser import condition_table, parse_condition
from core.policy.routes.route_sentences import condition_in_words, join_words
from core.policy.routes.routing import RouteCondition
from core.settings.section import Section
from core.states import Priority

MOST_PRIORS = 5


class Priors(Section):
    """Which earlier results of a patient a result is compared with."""

    count: int = Field(
        default=1, ge=1, le=MOST_PRIORS, description=f"At most so many results, the newest first, one of each study; 1 to {MOST_PRIORS}."
    )
    within_days: int = Field(default=1825, ge=1, le=36500, description="Of studies whose Study Date is at most so many days earlier.")
    same: tuple[str, ...] = Field(
        default=("Modality",),
        description=f"Attributes that both series must have, with equal values; of `{'`, `'.join(SAME_KEYWORDS)}`.",
    )

    unique_ids: bool = Field(
        default=False,
        description="The site vouches that no two of its patients have one Patient ID. Else two studies are of one patient only where "
        "issuer, birth date or full name is equal, too ([0055](decisions/0055-who-is-the-same-patient.md)).",
    )

    @field_validator("same")
    @classmethod
    def _check_keywords(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [keyword for keyword in value if keyword not in SAME_KEYWORDS]:
            raise ValueError(f"'same' takes {', '.join(SAME_KEYWORDS)}, which the node holds of every series, not {', '.join(unknown)}")
        if len(set(value)) != len(value):
            raise ValueError("'same' names an attribute twice")
        return value

    @property
    def rule(self) -> PriorRule:
        """The rule as the policy takes it."""
        return PriorRule(self.count, self.within_days, self.same, self.unique_ids)


class Route(Section):
    """A rule: units that meet ``when`` are analysed by ``model`` and their results go to ``destinations``."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(
        min_length=1,
        max_length=64,
        description="Name in the output of `dicom-node rules test` and in the stored decision, at most 64 characters.",
    )
    model: str = Field(description="Name of a model, see `dicom-node models list`.")
    destinations: tuple[str, ...] = Field(min_length=1, description="Names of `[[destinations]]`.")
    priority: Priority = Field(default=Priority.ROUTINE, description="`routine`, or `urgent`: a queue of its own that is served first.")
    per_study: Literal["best", "all"] = Field(
        default="all",
        description="`all`, or `best`: of the series of a study that the route takes, only the most suitable is analysed. The others are "
        "listed with the reason.",
    )
    release: Literal["at_once", "after_verdict"] = Field(
        default="at_once",
        description="`at_once`, or `after_verdict`: the results are held until a clinician has judged or released them "
        "([verdicts](console.md#results-that-wait-for-a-verdict)). A destination that another route names for the same result with "
        "`at_once` does not wait.",
    )
    priors: Priors | None = Field(
        default=None,
        description="Optional, for models of series. The result is compared with earlier results of the same patient by the same model, "
        "[how](results.md#comparison-with-earlier-examinations). "
        '`priors = { count = 1, within_days = 1825, same = ["Modality", "BodyPartExamined"] }`. Where several routes take a unit for one '
        "model, the first one with the key decides.",
    )
    when: Annotated[RouteCondition, BeforeValidator(parse_condition), PlainSerializer(condition_table, when_used="json")] = Field(
        description="Condition on DICOM attributes, see below."
    )

    @property
    def sentence(self) -> str:
        """The whole rule in words."""
        urgent = " as urgent" if self.priority is Priority.URGENT else ""
        best = " Of the series of a study only the most suitable is analysed." if self.per_study == "best" else ""
        receivers = join_words(list(self.destinations), "and")
        priors = "" if self.priors is None else f" {rule_in_words(self.priors.rule)}"
        return f"If {condition_in_words(self.when)}, analyse with {self.model}{urgent} and send the result to {receivers}.{best}{priors}"
