"""The manifests of deploy/kubernetes as kubectl builds them."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.external_programs import venv_tool

FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu", "ha")
Manifest = dict[str, Any]


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Every object of an overlay."""
    command = [venv_tool("kubectl"), "kustomize", str(FOLDER / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    """The objects of one kind, by name."""
    return {item["metadata"]["name"]: item for item in built(overlay) if item["kind"] == kind}


def pods(overlay: str) -> dict[str, Manifest]:
    """The pod templates of an overlay, by the name of what makes the pods."""
    found = [item for item in built(overlay) if item["kind"] in ("Deployment", "StatefulSet", "Job")]
    return {item["metadata"]["name"]: item["spec"]["template"] for item in found}


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod template."""
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
