"""``retention run``: the dry run prints what the real run deletes."""

import json
import os
from pathlib import Path

import pytest

from db.blobs.store import Blobs
from db.engine import Database
from deploy.cli.main import run
from tests.db.operations.test_retention import Unit, _age

pytestmark = pytest.mark.services


def test_dry_run_then_real_run(database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, blobs = tmp_path / "node.toml", Blobs(tmp_path / "data" / "blobs")
    config.write_text(f'[database]\nurl = "{database_url}"\n[retention]\nimages_days = 30\nrecords_days = 30\nstrays_days = 30\n')
    units = [Unit(database, blobs, number).report().deliver() for number in (1, 2)]
    fresh = Unit(database, blobs, 3)
    orphan = blobs.put(b"no row names it")
    os.utime(blobs.path(orphan.sha256), (0, 0))
    _age(database, 31)

    def run_retention(*options: str) -> list[dict[str, object]]:
        assert run(["retention", "run", "--config", str(config), "--json", *options]) == 0
        rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return rows

    size = sum(unit.image.size_bytes for unit in units)
    images = {"kind": "images", "days": 30, "units": 2, "objects": 2, "size_bytes": size}
    records = {"kind": "records", "days": 30, "units": 0, "objects": 0, "size_bytes": 0}
    strays = {"kind": "strays", "days": 30, "units": 0, "objects": 1, "size_bytes": orphan.size_bytes}
    assert run_retention("--dry-run") == [images, records, strays]
    one = {**images, "units": 1, "objects": 1, "size_bytes": size // 2}
    assert run_retention("--dry-run", "--limit", "1") == [one, records, strays]
    assert run(["retention", "run", "--dry-run", "--config", str(config)]) == 0
    assert f"would be deleted: 2 units, 3 objects, {size + orphan.size_bytes} bytes" in capsys.readouterr().err
    assert all(unit.kept() == (True, True) for unit in units)
    assert blobs.path(orphan.sha256).exists()
    assert run_retention("--limit", "1") == [one, records, strays]
    assert not blobs.path(orphan.sha256).exists()
    assert run_retention()[0]["units"] == 1
    assert all(unit.kept() == (False, True) for unit in units)
    assert blobs.path(fresh.image.sha256).exists()
    config.write_text(f'[database]\nurl = "{database_url}"\n')
    assert run(["retention", "run", "--config", str(config)]) == 0
    assert "allows nothing to be deleted" in capsys.readouterr().err
