"""docs/install.md: its commands are valid, and name files and commands that exist."""

import base64
import re
import shlex
import subprocess
from pathlib import Path

import yaml
from typer.main import get_command

from deploy.cli.main import build_app
from tests.deploy.kubernetes.manifests import OVERLAYS, pods
from tests.support.external_programs import venv_tool
from tests.support.wheels import ROOT

PAGE = (ROOT / "docs/install.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
FROM_MAKE_SECRETS = ("cpu", "gpu")


def _lines(start: str) -> list[str]:
    """Return the commands of the page that start with these words, without their comments."""
    return [" ".join(shlex.split(line, comments=True)) for block in BLOCKS for line in block.splitlines() if line.startswith(start)]


def test_every_block_parses() -> None:
    assert len(BLOCKS) >= 5
    for block in BLOCKS:
        done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), block


def test_files_and_commands_exist() -> None:
    text = re.sub(r"(?m)(^|\s)#.*$", "", "\n".join(BLOCKS))
    named = re.sub(r"kubectl exec (-it )?deploy/", "kubectl exec ", text)  # a Deployment, no folder
    files = set(re.findall(r"(?<![\w/-])(?:deploy/[\w./-]+|docker-compose[\w.]*\.yml)", named))
    assert {"deploy/conf/make-secrets.sh", "deploy/kubernetes/base/node.toml", "docker-compose.cpu.yml"} <= files
    assert [name for name in files if not (ROOT / name).exists()] == []
    commands = set(re.findall(r"(?:bin/dicom-node|-- dicom-node|console dicom-node|\bnode|conduct|worker) ([a-z]+)\b", text))
    assert {"demo", "up", "doctor", "users"} <= commands
    known = set(get_command(build_app()).commands)  # type: ignore[attr-defined]
    assert commands - known == set()


def test_the_secret_has_every_key_that_the_pods_mount(tmp_path: Path) -> None:
    """The page's own command, without a cluster."""
    (make,) = [line for line in _lines("deploy/conf/make-secrets.sh") if line.endswith(" secrets")]
    (create,) = _lines("kubectl create secret")
    subprocess.run(["sh", ROOT / make.split()[0], *make.split()[1:]], cwd=tmp_path, check=True, capture_output=True)
    command = [venv_tool("kubectl"), *create.split()[1:], "--dry-run=client", "--output=yaml"]
    secret = yaml.safe_load(subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout)
    for overlay in FROM_MAKE_SECRETS:
        for name, pod in pods(overlay).items():
            for volume in pod["spec"]["volumes"]:
                if "secret" in volume:
                    assert volume["secret"]["secretName"] == secret["metadata"]["name"], name
                    assert {item["key"] for item in volume["secret"]["items"]} <= set(secret["data"]), name
    assert base64.b64decode(secret["data"]["database_url"]).startswith(b"postgresql://dicom_node:")


def test_every_overlay_of_the_page_exists() -> None:
    (applied,) = [line for block in BLOCKS for line in block.splitlines() if line.startswith("kubectl apply")]
    assert (ROOT / applied.split()[3]).is_dir()
    assert sorted([Path(applied.split()[3]).name, *re.findall(r"\b(?:gpu|ha)\b", applied.split("#")[1])]) == sorted(OVERLAYS)
