"""PostgreSQL fails over to its standby: clients find it by themselves, and nothing that was acknowledged is lost."""

import json
from pathlib import Path

import pytest

from tests.chaos.hosts import sandbox
from tests.chaos.hosts.clients_during_fail_over import CLIENTS, COMMITS
from tests.chaos.hosts.outside import start_outside

KERNEL_WAITS_S = 900.0  # without limits of its own, a connection to a host that is gone ends after 15 minutes


def test_clients_find_the_promoted_standby_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    if lacks := sandbox.missing():
        pytest.fail("; ".join(lacks))
    tmp_path.chmod(0o755)
    with start_outside("tests.chaos.hosts.clients_during_fail_over", tmp_path / "run") as process:
        out, _ = process.communicate(timeout=KERNEL_WAITS_S)
    assert process.returncode == 0
    seen = json.loads(out)
    assert seen["acknowledged"] >= 3 * CLIENTS * COMMITS
    assert seen["lost"] == 0
    assert seen["seconds"] < KERNEL_WAITS_S / 2
