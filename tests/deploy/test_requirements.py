"""The pinned requirements: exact, consistent, as installed; those of the node without torch."""

import importlib.metadata
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETS = ("torch", "node", "worker", "training", "embedded", "viewer", "dev")
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;]+)( ; .+)?$")


def pins(name: str) -> dict[str, tuple[str, str]]:
    """Return package -> (version, marker); of several pins for different Pythons, the last."""
    found = {}
    for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        match = PIN.match(line)
        assert match is not None, f"{name}.txt: {line!r} is not an exact pin"
        found[match[1]] = (match[2], match[3] or "")
    return found


@pytest.mark.parametrize("name", SETS)
def test_every_pin_is_exact_and_is_what_is_installed(name: str) -> None:
    for package, (version, marker) in pins(name).items():
        if not marker:
            assert importlib.metadata.version(package).split("+")[0] == version, package


def test_one_version_of_everything() -> None:
    versions: dict[str, set[str]] = {}
    for name in SETS:
        for package, (version, marker) in pins(name).items():
            versions.setdefault(package + marker, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_the_node_has_no_torch_and_the_others_build_on_it() -> None:
    node, worker, dev = pins("node"), pins("worker"), pins("dev")
    assert not {"torch", "monai", "safetensors", "pytest"} & set(node)
    assert set(node) < set(worker) < set(dev)
    assert pins("torch")["torch"] == ("2.13.0", "")
    assert "torch" not in worker


def test_the_audit_is_pinned_too() -> None:
    assert "pip-audit" in pins("audit")
    assert {package: version for package, (version, _) in pins("audit").items() if pins("dev").get(package, (version,))[0] != version} == {}


def hashed(*sets: str) -> subprocess.CompletedProcess[str]:
    """Run requirements/hashed.py."""
    command = [sys.executable, str(ROOT / "requirements" / "hashed.py"), *sets]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_pin_but_torch_has_hashes() -> None:
    done = hashed(*SETS, "audit")
    assert (done.returncode, done.stderr) == (0, "")
    entries = done.stdout.replace(" \\\n", " ").splitlines()
    expected = {package for name in (*SETS, "audit") for package in pins(name)}
    assert {entry.split("==")[0] for entry in entries} == expected - {"torch"}
    assert [entry for entry in entries if not re.search(r"( --hash=sha256:[0-9a-f]{64})+$", re.sub(r"  +", " ", entry))] == []


def test_a_set_that_does_not_exist_is_named() -> None:
    done = hashed("wroker")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no set wroker" in done.stderr


def test_pip_refuses_a_file_with_another_hash(tmp_path: Path) -> None:
    """As a mirror that serves a changed file would be: nothing of it is installed."""
    wheel = tmp_path / "idna-3.20-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("idna-3.20.dist-info/METADATA", "Metadata-Version: 2.1\nName: idna\nVersion: 3.20\n")
    version = pins("node")["idna"][0]
    wheel.rename(wheel.with_name(f"idna-{version}-py3-none-any.whl"))
    selected = [entry for entry in hashed("node").stdout.replace(" \\\n", " ").splitlines() if entry.startswith("idna==")]
    (tmp_path / "pins.txt").write_text("\n".join(selected))
    command = [sys.executable, "-m", "pip", "--isolated", "download", "--no-index", "--no-deps", "--find-links", str(tmp_path)]
    command += ["--require-hashes", "-r", str(tmp_path / "pins.txt"), "--dest", str(tmp_path / "got")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert list((tmp_path / "got").glob("*")) == []


def test_the_audit_says_when_nothing_could_be_checked() -> None:
    """Without pip-audit nothing is checked, and the output must not look like a check without findings."""
    done = subprocess.run([sys.executable, str(ROOT / "requirements" / "audit.py")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "NOTHING WAS CHECKED" in done.stderr


def test_no_package_of_the_gpl_decoder() -> None:
    assert not {"pylibjpeg-libjpeg", "fakeredis"} & set(pins("dev"))


@pytest.mark.parametrize(
    "target", ["demo", "test", "check", "bench", "chaos", "serve", "lock", "clean-venv", "models", "audit", "wheel", "containers"]
)
def test_every_target_of_the_makefile(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", [".ci/run", "deploy/venv.sh", "deploy/debian.sh", "requirements/lock.sh"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_an_old_python_is_refused_with_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": str(old)}
    done = subprocess.run([str(ROOT / "deploy" / "venv.sh")], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Python 3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr
