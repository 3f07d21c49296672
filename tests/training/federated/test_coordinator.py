"""What a stopped training continues from, and what is refused before FLARE's server starts."""

import json
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ConfigurationError, ModelError
from models.card import read_card
from models.card_writer import render_card
from training.federated.clear_start import write_clear_start
from training.federated.coordinator import ROUNDS, STATE, begin, describe, require_free_ports, require_sites, run_coordinator, save_state
from training.federated.plan import FederatedPlan
from training.federated.startup_kits import SITES

PLAN = FederatedPlan(rounds=3, steps=1)
ROUND = {"round": 0, "accepted": {"north": {"images": 9, "loss": 0.5}}, "refused": {}, "silent": ["south"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clear_start("fold4", tmp_path_factory.mktemp("model"))


def test_a_stopped_training_continues_with_weights_and_rounds_of_the_same_moment(model: Path, tmp_path: Path) -> None:
    weights, rounds = begin(model, tmp_path, PLAN)
    assert rounds == []
    assert not any(value.any() for value in weights.values())
    moved = {name: value + np.float32(1) for name, value in weights.items()}
    save_state(model, tmp_path, PLAN, moved, [ROUND])
    (tmp_path / ROUNDS).write_text("[{")  # for people alone: a crash while it is written loses nothing
    (tmp_path / f"{STATE}.part").write_bytes(b"half of a file")
    again, rounds = begin(model, tmp_path, PLAN)
    assert rounds == [ROUND]
    assert all(np.array_equal(again[name], value) for name, value in moved.items())
    assert begin(model, tmp_path, PLAN)[1] == rounds


def test_another_plan_or_another_start_is_not_continued(model: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    weights, _ = begin(model, out, PLAN)
    begin(model, out, replace(PLAN, steps=2))  # no round was finished, so that nothing is lost
    save_state(model, out, PLAN, weights, [ROUND])
    with pytest.raises(ModelError, match="another plan: steps, min_sites differ"):
        begin(model, out, replace(PLAN, steps=2, min_sites=3))
    shutil.copytree(model, other)
    (other / "card.toml").write_text(render_card(replace(read_card(model / "card.toml"), weights_sha256="0" * 64)), encoding="utf-8")
    with pytest.raises(ModelError, match="began with other weights than those of dermoscopy_7class"):
        begin(other, out, PLAN)
    for content in (b"", b"not a state"):
        (out / STATE).write_bytes(content)
        with pytest.raises(ModelError, match="is no state of a federated training"):
            begin(model, out, PLAN)


def test_a_plan_for_more_sites_than_there_are_kits_is_refused_before_anything_starts(kits: Path, model: Path, tmp_path: Path) -> None:
    assert json.loads((kits / SITES).read_text()) == ["north", "south"]
    require_sites(kits, 2)
    with pytest.raises(ConfigurationError, match="a round needs 3 sites, and there are kits of 2: north, south"):
        run_coordinator(kits, model, tmp_path / "out", replace(PLAN, min_sites=3))
    with pytest.raises(ConfigurationError, match="rounds of a federated training must be"):
        run_coordinator(kits, model, tmp_path / "out", replace(PLAN, rounds=0))
    assert not (tmp_path / "out").exists()


def test_a_port_that_another_process_listens_on_is_named(kits: Path) -> None:
    (settings,) = json.loads((kits / "localhost" / "startup" / "fed_server.json").read_text())["servers"]
    for port in (int(settings["service"]["target"].rpartition(":")[2]), settings["admin_port"]):
        with socket.create_server(("127.0.0.1", port)), pytest.raises(ConfigurationError, match=f"port {port} of the coordinator"):
            require_free_ports(kits / "localhost")
    require_free_ports(kits / "localhost")


def test_a_round_is_described_with_what_became_of_every_site() -> None:
    report = {**ROUND, "accepted": {**ROUND["accepted"], "east": {"images": 8, "loss": None}}, "refused": {"west": "why"}}
    assert describe(report, 3) == (
        "round 1/3: east stated no loss (8 images); north loss 0.500 (9 images); west refused: why; south did not answer"
    )


# In a process of its own: FLARE's session leaves threads and sockets behind.
WITHOUT_SITES = """
import sys
from pathlib import Path
import numpy as np
from core.errors import ModelError
from training.federated import coordinator, flare_processes
from training.federated.plan import FederatedPlan

kits, plan = Path(sys.argv[1]), FederatedPlan(rounds=3, steps=1)
coordinator.START_S = 1.0
server = flare_processes.start_server(kits / "localhost")
try:
    session = coordinator._connect(kits / coordinator.ADMINISTRATOR, server)
    report, averaged = coordinator._run_round(session, 0, ("north", "south"), {"bias": np.zeros(3, np.float32)}, plan, server)
    print(coordinator.describe(report, 3), averaged)
    for job in session.list_jobs():
        print(str(job["status"]).partition(":")[0])
        coordinator._ask(server, lambda: session.delete_job(job["job_id"]))
    print(len(session.list_jobs()), "jobs")
    flare_processes.stop(server)
    try:
        coordinator._ask(server, session.get_system_info)
    except ModelError as error:
        print(error)
    session.close()
finally:
    flare_processes.stop(server)
"""


def test_a_round_that_no_site_begins_is_aborted_and_a_server_that_ended_is_named(kits: Path) -> None:
    """FLARE itself would wait for the sites of the job for most of an hour, although others are connected."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_SITES, str(kits)], capture_output=True, text=True, check=True, timeout=600)
    assert done.stdout.splitlines()[:3] == ["round 1/3: north did not answer; south did not answer None", "FINISHED", "0 jobs"]
    assert re.search(r"FLARE's server has ended with status .*the same command continues", done.stdout)
