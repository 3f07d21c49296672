"""`make federated`: two sites and a coordinator as processes over mutual TLS, with real images. No part of `make test`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from models import registry
from models.card import read_card
from training.federated import coordinator
from training.federated.comparison import train_rounds
from training.federated.plan import FederatedPlan
from training.federated.site_images import read_site_images

SITES = ("north", "south")


@pytest.fixture
def clients(kits: Path, sites: dict[str, Path]) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """The command ``train federated client`` of both sites."""
    command = [sys.executable, "-m", "deploy.cli", "train", "federated", "client"]
    running = {site: subprocess.Popen([*command, str(kits / site), "--data", str(sites[site])]) for site in SITES}
    yield running
    for process in running.values():
        process.terminate()
        process.wait(300)


def test_a_round_gives_a_version_that_names_its_sites(
    kits: Path, sites: dict[str, Path], clients: dict[str, "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    model, out = registry.folder("dermoscopy_7class"), tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "deploy.cli",
        "train",
        "federated",
        "server",
        str(kits),
        "--out",
        str(out),
        "--rounds",
        "1",
        "--steps",
        "1",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.search(r"round 1/1: north loss \d\.\d{3} \(1\d images\); south loss \d\.\d{3} \(1\d images\)\n", done.stderr)
    (round,) = json.loads((out / coordinator.ROUNDS).read_text())
    assert sorted(round["accepted"]) == list(SITES)
    before, card = read_card(model / "card.toml"), read_card(out / "card.toml")
    assert card.version.startswith(f"{before.version}+federated.")
    images = {site: values["images"] for site, values in round["accepted"].items()}
    assert card.training["federated"]["sites"] == {site: {"rounds": 1, "images": images[site]} for site in SITES}
    assert sum(images.values()) == 28
    assert card.metrics == {}
    old, new = load_file(model / before.weights), load_file(out / card.weights)
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed
    assert all(".trunk.fc." in name for name in changed)
    images_of = {site: read_site_images(folder) for site, folder in sites.items()}
    expected = train_rounds(model, images_of, FederatedPlan(rounds=1, steps=1))
    assert all(np.array_equal(value, new[name]) for name, value in expected.items())  # as `training.federated.comparison` computes them
    assert {process.wait(300) for process in clients.values()} == {0}
