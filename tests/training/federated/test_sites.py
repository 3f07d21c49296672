"""Two sites and a coordinator as processes over mutual TLS, with real images; one site leaves and returns."""

import csv
import json
import re
import socket
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.errors import ConfigurationError, ModelError
from deploy.demo.inputs import data_folder
from models import registry
from models.card import read_card
from training.dermoscopy.ham10000.data import COARSE_ARCHIVE, first_of_each, read_index
from training.federated import coordinator
from training.federated.plan import FederatedPlan
from training.federated.site_images import read_site_images
from training.federated.startup_kits import CONTROLLER, EXECUTOR, PRIVACY_FILTER, write_startup_kits

SITES = ("north", "south")
PLAN = FederatedPlan(rounds=2, steps=1, min_sites=2, round_s=300)


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


def test_a_kit_allows_only_our_classes_and_sends_no_logs(kits: Path) -> None:
    for name in ("localhost", *SITES):
        resources = json.loads((kits / name / "local" / "resources.json").read_text())
        assert resources["class_list_enforcement_mode"] == "enforce"
        assert resources["class_allow_list"] == [CONTROLLER, EXECUTOR, PRIVACY_FILTER]
        assert resources["allow_log_streaming"] is False
        assert not any("log" in part["id"] for part in resources["components"])
        assert "/tmp/nvflare" not in json.dumps(resources)


def test_wrong_input_is_refused_with_a_reason(tmp_path: Path, sites: dict[str, Path]) -> None:
    with pytest.raises(ConfigurationError, match="at least two sites"):
        write_startup_kits(tmp_path / "one", "localhost", 8002, ["north"])
    with pytest.raises(ConfigurationError, match="small letters"):
        write_startup_kits(tmp_path / "two", "localhost", 8002, ["north", "../south"])
    with pytest.raises(ModelError, match=r"index\.csv"):
        read_site_images(tmp_path)
    (tmp_path / "index.csv").write_text("file,label\n" + "x.png,psoriasis\n" * 9)
    with pytest.raises(ModelError, match="'psoriasis' is none of akiec"):
        read_site_images(tmp_path)
    images = read_site_images(sites["north"])
    assert images.pixels.shape == (14, 2, 150, 150, 3)
    assert np.bincount(images.labels, minlength=7).min() >= 1


@pytest.fixture
def clients(kits: Path, sites: dict[str, Path]) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """The command ``train federated client`` of both sites."""
    command = [sys.executable, "-m", "deploy.cli", "train", "federated", "client"]
    running = {site: subprocess.Popen([*command, str(kits / site), "--data", str(sites[site])]) for site in SITES}
    yield running
    for process in running.values():
        process.terminate()
        process.wait(60)


def test_two_rounds_give_a_version_that_names_its_sites(kits: Path, clients: dict[str, "subprocess.Popen[bytes]"], tmp_path: Path) -> None:
    model = registry.folder("dermoscopy_7class")
    lines: list[str] = []
    rounds = coordinator.run_coordinator(kits, model, tmp_path / "out", PLAN, lines.append)
    assert [sorted(one["accepted"]) for one in rounds] == [list(SITES), list(SITES)]
    assert re.fullmatch(r"round 2/2: north loss \d\.\d{3} \(14 images\); south loss .*", sorted(lines)[-1])
    before, card = read_card(model / "card.toml"), read_card(tmp_path / "out" / "card.toml")
    assert card.version.startswith(f"{before.version}+federated.")
    assert card.training["federated"]["sites"] == {site: {"rounds": 2, "images": 14} for site in SITES}
    assert card.metrics == {}
    old, new = load_file(model / before.weights), load_file(tmp_path / "out" / card.weights)
    changed = {name for name in old if not np.array_equal(old[name], new[name])}
    assert changed
    assert all(".trunk.fc." in name for name in changed)
    assert {process.wait(120) for process in clients.values()} == {0}


def test_the_coordinator_talks_only_to_certificates_of_this_training(kits: Path, tmp_path: Path) -> None:
    """TLS without a client certificate, and with one of another training, is refused."""
    from training.federated import flare_processes

    other = write_startup_kits(tmp_path / "other", "localhost", 18802, SITES)
    server = flare_processes.start_server(kits / "localhost")
    port = int(json.loads((kits / "north" / "startup" / "fed_client.json").read_text())["servers"][0]["service"]["target"].split(":")[1])
    try:
        assert _handshake(port, kits / "north" / "startup", kits / "north" / "startup", server) == "accepted"
        assert _handshake(port, kits / "north" / "startup", None, server) == "refused"
        assert _handshake(port, kits / "north" / "startup", other / "north" / "startup", server) == "refused"
    finally:
        flare_processes.stop(server)


def _handshake(port: int, authority: Path, own: Path | None, server: "subprocess.Popen[bytes]") -> str:
    context = ssl.create_default_context(cafile=str(authority / "rootCA.pem"))
    context.check_hostname = False
    if own is not None:
        context.load_cert_chain(own / "client.crt", own / "client.key")
    while True:
        assert server.poll() is None
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as plain, context.wrap_socket(plain) as secure:
                secure.settimeout(2.0)
                try:
                    return "refused" if secure.recv(1) == b"" else "accepted"  # TLS 1.3: the refusal arrives after the handshake
                except TimeoutError:
                    return "accepted"
        except ConnectionRefusedError:
            continue  # the server starts
        except (ssl.SSLError, ConnectionResetError):
            return "refused"
