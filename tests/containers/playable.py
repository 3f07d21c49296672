"""The pods of deploy/kubernetes in the form that ``podman kube play`` takes: the same containers, volumes and configuration.

Podman 4.3 has no Service, NetworkPolicy, StatefulSet and Job; it starts an init container again and again where the pod is restarted
always, hands out the values of a Secret in base64, and gives an emptyDir to root. docs/containers.md lists what follows from this.
"""

import copy
import shutil
from pathlib import Path
from typing import Any

from tests.deploy.kubernetes.manifests import Manifest, containers, of_kind, pods

OVERLAY = "cpu"
PREFIX = "dicom-node-"  # of the names of pods
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def volume_claims() -> list[Manifest]:
    """Return the claims of the overlay, and those that the StatefulSets make."""
    made = [
        _claim(_claim_name(template, name), template["spec"])
        for name, item in of_kind(OVERLAY, "StatefulSet").items()
        for template in item["spec"]["volumeClaimTemplates"]
    ]
    return [*of_kind(OVERLAY, "PersistentVolumeClaim").values(), *made]


def playable_pod(name: str, secrets: Path, folder: Path) -> list[Manifest]:
    """Return the documents to play for one pod: the ConfigMaps, and the pod.

    Parameters
    ----------
    name
        Name of the Deployment, StatefulSet or Job.
    secrets
        Folder with a file for each key of the Secret.
    folder
        Gets the folders that take the place of secrets and of empty volumes.
    """
    pod = copy.deepcopy(pods(OVERLAY)[name])
    spec = pod["spec"]
    for template in of_kind(OVERLAY, "StatefulSet").get(name, {"spec": {}})["spec"].get("volumeClaimTemplates", ()):
        claim = {"claimName": _claim_name(template, name)}
        spec["volumes"].append({"name": template["metadata"]["name"], "persistentVolumeClaim": claim})
    for volume in spec["volumes"]:
        here = folder / name / volume["name"]
        if "secret" in volume:
            _fill(here, secrets, volume.pop("secret")["items"])
        elif "emptyDir" in volume:
            del volume["emptyDir"]
            here.mkdir(parents=True)
            here.chmod(0o777)  # as the kubelet makes it
        else:
            continue
        volume["hostPath"] = {"path": str(here), "type": "Directory"}
    for container in containers(pod):
        for key in ("ports", "lifecycle", *PROBES):
            container.pop(key, None)
    spec["restartPolicy"] = "OnFailure"
    played = {"apiVersion": "v1", "kind": "Pod", "metadata": {**pod["metadata"], "name": PREFIX + name}, "spec": spec}
    return [*of_kind(OVERLAY, "ConfigMap").values(), played]


def probes(name: str) -> list[tuple[dict[str, Any], dict[str, int]]]:
    """Return the probes of a pod's container, each with the numbers of the container's named ports."""
    (container,) = pods(OVERLAY)[name]["spec"]["containers"]
    ports = {port["name"]: int(port["containerPort"]) for port in container.get("ports", ())}
    return [(container[kind], ports) for kind in PROBES if kind in container]


def _claim_name(template: Manifest, name: str) -> str:
    return f"{template['metadata']['name']}-{name}-0"  # as Kubernetes names it


def _claim(name: str, spec: dict[str, Any]) -> Manifest:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def _fill(folder: Path, secrets: Path, items: list[dict[str, str]]) -> None:
    """Copy the items of a Secret's volume; they can be read by the users of the containers."""
    folder.mkdir(parents=True)
    for item in items:
        shutil.copyfile(secrets / item["key"], folder / item["path"])
        (folder / item["path"]).chmod(0o444)
