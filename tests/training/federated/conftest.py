"""Two sites with real images, and the kits of a training."""

import csv
import socket
import tarfile
from pathlib import Path

import pytest

from deploy.demo.inputs import data_folder
from training.dermoscopy.ham10000.data import COARSE_ARCHIVE, first_of_each, read_index
from training.federated.startup_kits import write_startup_kits

SITES = ("north", "south")


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of real labelled photographs for each site."""
    data = data_folder()
    rows = [row for row in read_index(data) if row.archive == COARSE_ARCHIVE]
    chosen = first_of_each(rows, 4)
    folders = {site: tmp_path_factory.mktemp(site) for site in SITES}
    wanted = {row.image_id: (SITES[number % 2], row.dx) for number, row in enumerate(chosen)}
    lines: dict[str, list[tuple[str, str]]] = {site: [] for site in SITES}
    with tarfile.open(data / "dermoscopy" / COARSE_ARCHIVE) as archive:
        for member in archive:
            image = Path(member.name).stem
            if image in wanted:
                site, label = wanted[image]
                stream = archive.extractfile(member)
                assert stream is not None
                (folders[site] / f"{image}.jpg").write_bytes(stream.read())
                lines[site].append((f"{image}.jpg", label))
    for site, folder in folders.items():
        with (folder / "index.csv").open("w", newline="") as out:
            csv.writer(out).writerows([("file", "label"), *lines[site]])
    return folders


def free_port() -> int:
    """A port whose successor is free too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            try:
                two.bind(("127.0.0.1", one.getsockname()[1] + 1))
            except OSError:
                continue
            return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kits of a coordinator on a free port and of both sites."""
    return write_startup_kits(tmp_path_factory.mktemp("kits") / "kits", "localhost", free_port(), SITES)
