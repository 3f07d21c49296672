"""Recognises pictures that are no slice of a chest CT although two dark regions in a bright one look like lungs: pages, tiles, noise.

Applied to pictures only, because series come as CT objects. The limits are the card's; they were set on drawn pages and on the
training screenshots, and measured on other drawings.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from imaging.masks import box_of
from models.lung_histology_ct.lung_field_2d import Grey, SliceLungs, column_between_lungs, find_lungs
from models.lung_histology_ct.preprocess import grey_levels, reduce_to_working_size


def check_slice(grey: npt.NDArray[np.uint8], limits: Mapping[str, float]) -> str:
    """Why (Y, X) uint8 is no slice of a chest CT, or ""; also "" where no lungs are found, which ``prepare_slice`` reports."""
    small = reduce_to_working_size(grey)
    lungs = find_lungs(small)
    if lungs is None:
        return ""
    levels = grey_levels(small, lungs)
    return check_lung_shape(lungs, limits) or ("" if isinstance(levels, str) else check_grey_levels(small, *levels, limits))


def check_lung_shape(lungs: SliceLungs, limits: Mapping[str, float]) -> str:
    """Why two dark regions cannot be lungs, as on a printed page, or "".

    ``limits``: ``min_height`` and ``max_height`` of both lungs together in relation to their width; ``min_smaller``, the area of the
    smaller side in relation to the larger; ``min_filled``, the share of the box around both that is lung.
    """
    rows, columns = box_of(lungs.air)
    box = lungs.air[rows, columns]
    height = len(box) / lungs.width
    if not limits["min_height"] <= height <= limits["max_height"]:
        usual = f"{limits['min_height']:.2f} to {limits['max_height']:.2f}"
        return f"no chest: what could be lungs is {height:.2f} times as high as wide, {usual} is usual"
    middle = column_between_lungs(lungs.air, columns)
    sides = sorted((int(lungs.air[:, :middle].sum()), int(lungs.air[:, middle:].sum())))
    if sides[0] < limits["min_smaller"] * sides[1]:
        share = 100 * sides[0] / sides[1]
        return f"no chest with two lungs: one side has {share:.0f} % of the other, {100 * limits['min_smaller']:.0f} % are needed"
    if box.mean() < limits["min_filled"]:
        needed = f"{100 * limits['min_filled']:.0f} % are needed"
        return f"no chest: {100 * box.mean():.0f} % of the box around what could be lungs is dark, {needed}"
    return ""


def check_grey_levels(grey: Grey, air: float, tissue: float, limits: Mapping[str, float]) -> str:
    """Why (Y, X) grey is a page with dark boxes and no CT, or ""; ``air`` and ``tissue`` are the levels of lung and soft tissue.

    ``limits``: ``max_lung_level``, the highest position of lung between the picture's darkest and brightest grey; where tissue lies
    above ``bright_tissue``, so that bone has no grey level of its own, ``max_even`` is the largest share of the picture that may have
    the tissue's grey.
    """
    low, high = np.quantile(grey, (0.002, 0.998))
    level, bright = (air - low) / (high - low), (tissue - low) / (high - low)
    even = float((np.abs(grey - tissue) < 0.15 * (tissue - air)).mean())
    if level > limits["max_lung_level"]:
        return "no CT slice: what could be lungs is not among the darkest in the picture"
    if bright > limits["bright_tissue"] and even > limits["max_even"]:
        return f"no CT slice: {100 * even:.0f} % of the picture have one bright grey, at most {100 * limits['max_even']:.0f} % are usual"
    return ""
