"""The heat map of an imported classifier, mapped back through its pre-processing to the grid of the image."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.classifier.heat_map import scale_to_unit


def undo_steps(heat: torch.Tensor, image: Any, steps: Any) -> npt.NDArray[np.float32]:
    """``heat`` on the grid that the first step of pre-processing received, 0..1; 0 where a crop removed the image.

    ``image``: the MetaTensor that ``steps`` made; it knows which spatial transforms were applied.
    """
    from monai.data.meta_tensor import MetaTensor

    carrier = MetaTensor(heat.cpu(), meta=image.meta, applied_operations=list(image.applied_operations))
    return scale_to_unit(np.asarray(steps.inverse(carrier)[0], np.float32))
