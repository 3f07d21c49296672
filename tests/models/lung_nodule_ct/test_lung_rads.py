"""Lung-RADS 2022 by size and density: the limits, the measuring error, and what does not allow a category."""

import pytest

from models.lung_nodule_ct.description.lung_rads import lung_rads_category


@pytest.mark.parametrize(
    ("kind", "size_mm", "pleura_mm", "meaning"),
    [
        ("solid", 4.9, None, "2"),
        ("solid", 5.0, None, "2 or 3"),  # up to 6.0
        ("solid", 6.9, None, "2 or 3"),
        ("solid", 7.0, None, "3 or 4A"),
        ("solid", 9.0, None, "4A"),
        ("solid", 13.9, None, "4A"),
        ("solid", 14.0, None, "4A or 4B"),
        ("solid", 16.0, None, "4B"),
        ("solid", 31.0, 20.0, "4B"),
        ("solid", 6.5, 0.0, "2 or 3"),
        ("solid", 9.5, 1.0, "2 to 4A"),  # on the pleura and below 10 mm: 2 if its shape is benign
        ("solid", 11.0, 0.0, "4A"),
        ("ground_glass", 28.9, None, "2"),
        ("ground_glass", 30.0, None, "2 or 3"),
        ("ground_glass", 31.0, 0.0, "3"),
        ("part_solid", 4.9, None, "2"),
        ("part_solid", 5.5, None, None),
        ("part_solid", 7.0, None, "3 or higher"),
    ],
)
def test_the_category_of_a_nodule(kind: str, size_mm: float, pleura_mm: float | None, meaning: str | None) -> None:
    category = lung_rads_category(kind, size_mm, pleura_mm)
    assert (None if category is None else category.meaning) == meaning
