"""Divides labelled images of HAM10000 among sites, by lesion and unevenly by class, in the form that sites have."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_jpegs
from training.federated.site_images import INDEX

CONCENTRATION = 0.5  # of the Dirichlet distribution of a class over the sites: most of a class is at one or two of three sites


def divide_unevenly(rows: Sequence[HamImage], sites: Sequence[str], seed: int) -> dict[str, list[HamImage]]:
    """Images of each site. All images of a lesion are at one site.

    The shares of the sites are drawn for each class from a symmetric Dirichlet distribution (Hsu, Qi, Brown, Measuring the effects of
    non-identical data distribution for federated visual classification, 2019, arXiv 1909.06335).
    """
    draws = np.random.default_rng(seed)
    found: dict[str, list[HamImage]] = {site: [] for site in sites}
    for name in CLASSES:
        lesions = sorted({row.lesion_id for row in rows if row.dx == name})
        shares = draws.dirichlet(np.full(len(sites), CONCENTRATION))
        place = dict(zip(lesions, draws.choice(len(sites), len(lesions), p=shares), strict=True))
        for row in rows:
            if row.dx == name:
                found[sites[place[row.lesion_id]]].append(row)
    return found


def write_sites(data: Path, divided: Mapping[str, Sequence[HamImage]], out: Path) -> dict[str, Path]:
    """Write for each site a folder as ``dicom-node train federated export`` writes it; return the folders."""
    jpegs = read_jpegs(data, [row for rows in divided.values() for row in rows])
    folders = {}
    for site, rows in divided.items():
        folders[site] = out / site
        folders[site].mkdir(parents=True, exist_ok=True)
        for row in rows:
            (folders[site] / f"{row.image_id}.jpg").write_bytes(jpegs[row.image_id])
        with (folders[site] / INDEX).open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([("file", "label"), *((f"{row.image_id}.jpg", row.dx) for row in rows)])
    return folders
