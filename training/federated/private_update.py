"""The update of a site after FLARE's filter for differential privacy, without FLARE's processes."""

from collections.abc import Mapping

import numpy as np

from training.federated.startup_kits import privacy_arguments


def private_update(step: Mapping[str, np.ndarray], epsilon: float, seed: int) -> dict[str, np.ndarray]:
    """The change of the weights as it leaves a site that runs ``client --epsilon``; FLARE's filter draws from numpy's global generator."""
    from nvflare.apis.dxo import DXO, DataKind, from_shareable
    from nvflare.apis.fl_context import FLContext
    from nvflare.app_common.filters.svt_privacy import SVTPrivacy

    np.random.seed(seed)
    change = DXO(DataKind.WEIGHT_DIFF, data={name: value.copy() for name, value in step.items()})
    answer = SVTPrivacy(**privacy_arguments(epsilon)).process(change.to_shareable(), FLContext())
    return {name: np.asarray(value, np.float32) for name, value in from_shareable(answer).data.items()}
