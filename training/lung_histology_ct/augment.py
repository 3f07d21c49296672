"""Random views of prepared slices by MONAI's array transforms; one seed makes one sequence of views."""

import numpy as np
import numpy.typing as npt
import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import RandGaussianSmooth, RandScaleIntensity
from monai.transforms.spatial.array import RandAffine, RandFlip

SLICES_PER_VIEW = 4


def random_views(seed: int) -> Compose:
    """Mirrored both ways, rotated, sheared, scaled, shifted, blurred, and scaled in density; (2, 96, 128) float 0..1 to the same."""
    transform = Compose(
        [
            RandFlip(prob=0.5, spatial_axis=1),
            RandFlip(prob=0.5, spatial_axis=0),
            RandAffine(
                prob=0.9,
                rotate_range=0.3,
                shear_range=(0.15, 0.15),
                translate_range=(10, 12),
                scale_range=((-0.2, 0.25), (-0.2, 0.25)),
                padding_mode="zeros",
            ),
            RandGaussianSmooth(sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2), prob=0.3),
            RandScaleIntensity(factors=0.25, prob=0.7),
        ]
    )
    transform.set_random_state(seed=seed)
    return transform


def augment(planes: npt.NDArray[np.uint8], transform: Compose) -> torch.Tensor:
    """(B, 2, 96, 128) uint8 to float 0..255; ``SLICES_PER_VIEW`` slices at a time share a view, as channels of one picture."""
    values = torch.from_numpy(planes).float() / 255
    parts = []
    for group in torch.split(values, SLICES_PER_VIEW):
        view = torch.as_tensor(transform(group.flatten(0, 1)))
        parts.append(view.as_subclass(torch.Tensor).view_as(group))  # without the metadata of MONAI's tensors
    return torch.cat(parts).clamp(0, 1) * 255
