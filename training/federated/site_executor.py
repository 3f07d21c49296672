"""Runs inside FLARE at a site: takes the weights of a round, trains them on the site's images, returns the update.

The images and the networks are named by environment variables that `dicom-node train federated client` sets: a coordinator cannot choose
what is read here.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from core.errors import ModelError, NodeError
from models.card import read_card
from training.federated.local_training import load_ensemble, shared_tensors, train_locally
from training.federated.plan import FederatedPlan
from training.federated.site_images import read_site_images
from training.federated.update_check import SiteUpdate, form_refusal

DATA, MODEL = "DICOM_NODE_FEDERATED_DATA", "DICOM_NODE_FEDERATED_MODEL"
PLAN, NUMBER, IMAGES, LOSS = "plan", "number", "images", "loss"


class SiteExecutor(Executor):  # type: ignore[misc]
    """FLARE's executor of the task ``train``."""

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        """Answer one task. Errors are logged here, and the coordinator learns only that there was one."""
        try:
            received = FLModelUtils.from_shareable(shareable)
            plan = FederatedPlan.read(received.meta[PLAN])
            model = Path(os.environ[MODEL])
            tensors = {name: np.asarray(value) for name, value in received.params.items()}
            _check_received(model, tensors, plan)
            result = train_locally(model, tensors, read_site_images(Path(os.environ[DATA])), plan, int(received.meta[NUMBER]))
        except (NodeError, KeyError, TypeError, ValueError, OSError) as error:
            self.log_error(fl_ctx, f"the round cannot be trained here: {error}", fire_event=False)
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        self.log_info(fl_ctx, f"round {received.meta[NUMBER]}: loss {result.loss:.4f} on {result.images} images", fire_event=False)
        steps = {name: value - tensors[name] for name, value in result.tensors.items()}
        return FLModelUtils.to_shareable(FLModel(ParamsType.DIFF, steps, meta={IMAGES: result.images, LOSS: result.loss}))


def _check_received(model: Path, tensors: Mapping[str, np.ndarray], plan: FederatedPlan) -> None:
    """Raise ModelError for weights that do not fit the networks of this site."""
    card = read_card(model / "card.toml")
    own = shared_tensors(load_ensemble(card, model / card.weights), plan.scope)
    reason = form_refusal(SiteUpdate("the coordinator", tensors, 1), own)
    if reason:
        raise ModelError(f"the weights of the round do not fit the networks of {card.name} {card.version}: {reason}")
