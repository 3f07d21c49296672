"""Generates vessels and airways of a synthetic chest: trees of tapering tubes from the hila into the lungs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deploy.demo.synthetic.lungs import lung_depth

Point = NDArray[np.float64]

# Directions (lateral, posterior, cranial) of the arteries and veins of the lobes.
_LOBES = np.array(
    [
        (1.0, -0.3, 1.2),
        (0.7, 0.5, 1.0),
        (1.0, 0.5, 0.1),
        (1.0, -0.6, 0.2),
        (0.8, 0.3, -1.0),
        (1.0, -0.5, -0.6),
        (0.4, 0.9, -0.3),
        (0.5, -1.0, 0.3),
    ]
)


@dataclass(frozen=True, slots=True)
class Capsule:
    """A tube with round ends, mm."""

    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    radius_mm: float


def vessels(field_mm: float, length_mm: float, pixel_mm: float, rng: np.random.Generator) -> Iterator[Capsule]:
    """Yield the vessels of both sides, down to a radius of half a pixel."""
    for side in (-1.0, 1.0):
        for direction in _LOBES:
            hilum = np.array([side * 0.085 * field_mm, 0.02 * field_mm, 0.04 * length_mm])
            yield from _grow(hilum, direction * (side, 1.0, 1.0), 0.0105 * field_mm, 0.058 * field_mm, pixel_mm, field_mm, length_mm, rng)


def airways(field_mm: float, length_mm: float, pixel_mm: float, rng: np.random.Generator) -> Iterator[Capsule]:
    """Yield the trachea, the main bronchi and the first generations of each side."""
    top, carina = np.array([0.0, 0.06 * field_mm, 0.5 * length_mm]), np.array([0.0, 0.06 * field_mm, 0.12 * length_mm])
    yield _capsule(top, carina, 0.024 * field_mm)
    for side in (-1.0, 1.0):
        hilum = np.array([side * 0.08 * field_mm, 0.05 * field_mm, 0.05 * length_mm])
        yield _capsule(carina, hilum, 0.017 * field_mm)
        for direction in ((side, 0.2, 0.5), (side, 0.1, -0.8)):
            limit = max(pixel_mm, 0.005 * field_mm)
            yield from _grow(hilum, np.array(direction), 0.011 * field_mm, 0.06 * field_mm, 2 * limit, field_mm, length_mm, rng)


def _capsule(start: Point, end: Point, radius: float) -> Capsule:
    (ax, ay, az), (bx, by, bz) = (float(v) for v in start), (float(v) for v in end)
    return Capsule((ax, ay, az), (bx, by, bz), float(radius))


def _grow(
    start: Point,
    direction: Point,
    radius: float,
    step: float,
    limit: float,
    field_mm: float,
    length_mm: float,
    rng: np.random.Generator,
) -> Iterator[Capsule]:
    """Branch in two until the tube is thinner than ``limit`` mm or has left the lung."""
    branches = [(start, direction / np.linalg.norm(direction), radius, step)]
    while branches:
        start, direction, radius, step = branches.pop()
        end = start + direction * step * rng.uniform(0.8, 1.2)
        scaled = end / np.array([field_mm, field_mm, length_mm])
        inside = float(lung_depth(np.float32(scaled[0]), np.float32(scaled[1]), float(scaled[2]) + 0.5))  # type: ignore[arg-type]
        if radius < limit / 2 or inside < 0.012:
            continue
        yield _capsule(start, end, radius)
        for _ in range(2):
            turned = direction + rng.normal(0.0, 0.45, 3)
            branches.append((end, turned / np.linalg.norm(turned), radius * rng.uniform(0.62, 0.82), step * 0.84))
