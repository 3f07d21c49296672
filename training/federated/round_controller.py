"""Runs inside FLARE at the coordinator: one round. Sends the weights, waits for the updates, checks and averages them.

Every round is a FLARE job of its own. A site that was away takes part in the next round after it is back, and a coordinator that was
stopped continues with the last finished round.
"""

import json
import math
from pathlib import Path

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.model_controller import ModelController
from safetensors.numpy import load_file, save_file

from training.federated.plan import FederatedPlan
from training.federated.site_executor import IMAGES, LOSS, NUMBER, PLAN
from training.federated.update_check import SiteUpdate, average, refused_updates

SENT, PLAN_FILE = "sent.safetensors", "plan.json"  # in the job's configuration at the coordinator
AVERAGED, ROUND = "averaged.safetensors", "round.json"  # in the run's folder


class RoundController(ModelController):  # type: ignore[misc]
    """FLARE's workflow of one round."""

    def __init__(self, number: int) -> None:
        super().__init__(persistor_id="", ignore_result_error=True)
        self.number = number

    def run(self) -> None:
        """Write averaged.safetensors, where enough updates were accepted, and round.json with what became of every site."""
        config = Path(self.get_app_dir()) / "config"
        plan = FederatedPlan.read((config / PLAN_FILE).read_text(encoding="utf-8"))
        sent = load_file(config / SENT)
        model = FLModel(params=sent, current_round=self.number, total_rounds=plan.rounds)
        model.meta |= {PLAN: (config / PLAN_FILE).read_text(encoding="utf-8"), NUMBER: self.number}
        answers = self.send_model_and_wait(task_name="train", data=model, min_responses=0, timeout=plan.round_s)
        updates = [_site_update(answer, sent) for answer in answers]
        refused = refused_updates(updates, sent)
        accepted = [update for update in updates if update.site not in refused]
        for site, reason in refused.items():
            self.warning(f"the update of {site} is refused: {reason}")
        losses = {str(answer.meta["client_name"]): _stated_loss(answer) for answer in answers}
        result = {
            "round": self.number,
            "accepted": {update.site: {"images": int(update.images), "loss": losses[update.site]} for update in accepted},
            "refused": refused,
        }
        folder = Path(self.get_run_dir())
        if len(accepted) >= plan.min_sites:
            save_file(average(accepted), folder / AVERAGED)
        (folder / ROUND).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _site_update(answer: FLModel, sent: dict[str, np.ndarray]) -> SiteUpdate:
    """The weights of a site from its difference. Where names, shapes or types differ, the difference itself, which the check refuses."""
    try:
        steps = {str(name): np.asarray(value) for name, value in answer.params.items()}
    except (TypeError, ValueError, AttributeError):
        return SiteUpdate(str(answer.meta["client_name"]), {}, 0.0)
    fits = set(steps) == set(sent) and all(steps[name].shape == one.shape and steps[name].dtype.kind == "f" for name, one in sent.items())
    with np.errstate(over="ignore"):  # the check refuses what is beyond the range
        tensors = {name: sent[name] + steps[name] for name in sent} if fits else steps
    return SiteUpdate(str(answer.meta["client_name"]), tensors, _number(answer.meta.get(IMAGES)))


def _stated_loss(answer: FLModel) -> float | None:
    """The loss that a site states, for people; None where it is no number, which JSON could not hold."""
    loss = _number(answer.meta.get(LOSS))
    return round(loss, 5) if math.isfinite(loss) else None


def _number(value: object) -> float:
    """What a site states as a number; nan for anything else, so that one site cannot end the round of all."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan
