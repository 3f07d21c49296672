"""The pages of the console that the benchmark opens, on the studies of `tests.support.many_studies`."""

import random
from collections.abc import Callable, Iterator, Mapping

SEARCH = "yamada"
OPENED = 60


def pages(studies: int) -> Mapping[str, Callable[[random.Random], str]]:
    """Return the address of a page by name; each call gives another study, day or word, as people do."""

    def any_study(chance: random.Random) -> str:
        return str(chance.randint(1, studies - OPENED))

    def patient(chance: random.Random) -> str:
        return f"P-{chance.randrange(40_000):06}"

    return {
        "worklist": lambda _: "/worklist",
        "worklist, a later page": lambda chance: f"/worklist?before={any_study(chance)}",
        "worklist, one patient": lambda chance: f"/worklist?text={patient(chance)}",
        "worklist, nothing matches": lambda chance: f"/worklist?text=zz{chance.randrange(10**6)}",
        "worklist, failed": lambda _: "/worklist?state=failed",
        "worklist, queued": lambda _: "/worklist?state=queued",
        "worklist, receiving": lambda _: "/worklist?state=receiving",
        "worklist, not routed": lambda _: "/worklist?state=not_routed",
        "worklist, highest tier": lambda _: "/worklist?tier=high",
        "worklist, tier and finding of few": lambda _: "/worklist?tier=high&finding=mel&outcome=findings",
        "worklist, outcome of few": lambda _: "/worklist?outcome=abstained",
        "worklist, outcome of none": lambda _: "/worklist?outcome=not_analysed",
        "worklist, one model": lambda _: "/worklist?model=dermoscopy_7class",
        "worklist, a model of none": lambda _: "/worklist?model=lung_histology_ct",
        "worklist, one destination": lambda _: "/worklist?destination=archive",
        "worklist, verdict open": lambda _: "/worklist?verdict=open",
        "worklist, verdict given": lambda _: "/worklist?verdict=given",
        "worklist, a day a year ago": lambda _: "/worklist?since=2025-12-01&until=2025-12-01",
        "worklist, patient and tier": lambda chance: f"/worklist?text={patient(chance)}&tier=high",
        "study": lambda chance: f"/studies/{any_study(chance)}",
        "verdict panel": lambda chance: f"/results/{any_study(chance)}/verdicts",
        "dashboard, 14 days": lambda _: "/dashboard",
        "dashboard, 90 days": lambda _: "/dashboard?days=90",
        "models": lambda _: "/models",
        "one model": lambda _: "/models/lung_nodule_ct",
        "operations": lambda _: "/operations",
        "audit": lambda _: "/audit",
        "audit, one study": lambda chance: f"/audit?study={any_study(chance)}",
        "audit, one patient": lambda chance: f"/audit?patient_id={patient(chance)}",
        "audit, one user": lambda _: "/audit?actor=user:admin",
        "audit, one action": lambda _: "/audit?action=study.viewed",
        "audit, an action of none": lambda _: "/audit?action=no.such",
        "access report of a patient": lambda chance: f"/audit/patient?patient_id={patient(chance)}",
        "query page, findings": lambda _: "/audit/views",
        "query page, findings of a patient": lambda chance: f"/audit/views?column=patient_id&operator=is&value={patient(chance)}",
        "query page, jobs": lambda _: "/audit/views?view=v_jobs",
        "status": lambda _: "/status",
        "users": lambda _: "/users",
        "account": lambda _: "/account",
        "upload": lambda _: "/upload",
        "API: studies": lambda _: "/api/v1/studies",
        "API: findings of a tier": lambda _: "/api/v1/findings?tier=high",
    }


def typed(word: str = SEARCH) -> Iterator[str]:
    """Yield what the search field holds while somebody types ``word``, letter by letter, from the second on."""
    for length in range(2, len(word) + 1):
        yield word[:length]
