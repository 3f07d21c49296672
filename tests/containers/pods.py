"""The pods of deploy/kubernetes on Podman, with the shipped configuration and a PACS at the address that it names."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import yaml

from tests.containers.deployment import NODE_USER, ROLES, ROOT
from tests.containers.engine import Engine, EngineError
from tests.containers.playable import OVERLAY, PREFIX, playable_pod, probes, volume_claims
from tests.deploy.kubernetes.manifests import of_kind, pods

NETWORK, SUBNET = "dicom-node-pods", "10.0.0.0/24"
PACS, PACS_ADDRESS, PACS_TITLE, PACS_PORT = "dicom-node-pods-pacs", "10.0.0.5", "PACS", 104  # of deploy/kubernetes/base/node.toml
SERVERS = ("postgres", "valkey")
PROBE_TIMEOUT_S = 180.0


def container_name(name: str) -> str:
    """Return the name that Podman gives to the container of a pod."""
    (container,) = pods(OVERLAY)[name]["spec"]["containers"]
    return f"{PREFIX}{name}-{container['name']}"


class Pods:
    """What a cluster would run of the overlay `cpu`: two servers, the migration, and one pod of each role."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._folder = engine.folder / "pods"

    def start(self) -> None:
        """Start the servers, upgrade the schema, start the roles and the PACS."""
        secrets = self._folder / "secrets"
        secrets.mkdir(parents=True)
        self._engine.run("sh", str(ROOT / "deploy/conf/make-secrets.sh"), str(secrets))
        self._engine.podman("network", "create", "--subnet", SUBNET, NETWORK)
        self._play("claims", volume_claims())
        for name in (*SERVERS, "migrate"):
            self._play(name, playable_pod(name, secrets, self._folder))
        status = self._engine.podman("wait", container_name("migrate")).strip()
        if status != "0":
            raise EngineError(f"the pod of the Job migrate ended with {status}: {self._logs('migrate')}")
        self._start_pacs()
        with ThreadPoolExecutor(len(ROLES)) as pool:  # each waits for the schema first
            list(pool.map(lambda role: self._play(role, playable_pod(role, secrets, self._folder)), ROLES))

    def _start_pacs(self) -> None:
        settings = json.loads((ROOT / "deploy/conf/orthanc.json").read_text()) | {"DicomAet": PACS_TITLE, "DicomPort": PACS_PORT}
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps(settings))
        image = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["orthanc"]["image"]
        options = ("--network", f"{NETWORK}:ip={PACS_ADDRESS}", "--volume", f"{file}:/etc/orthanc/orthanc.json:ro")
        self._engine.podman("run", "--detach", "--name", PACS, *options, image)

    def _play(self, name: str, documents: list[dict[str, Any]]) -> None:
        file = self._folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self._engine.podman("kube", "play", "--network", f"{NETWORK}:alias={name}", str(file))

    def address(self, name: str) -> str:
        """Return the IP address of a pod."""
        pod = json.loads(self._engine.podman("pod", "inspect", PREFIX + name))
        return self._engine.address(pod["InfraContainerID"])

    def check_probes(self) -> None:
        """Carry out the probes of every pod until they succeed: Podman does not.

        Raises
        ------
        EngineError
            A probe still fails after `PROBE_TIMEOUT_S`.
        """
        for name in (*SERVERS, *ROLES):
            for probe, ports in probes(name):
                deadline = time.monotonic() + PROBE_TIMEOUT_S
                while not self._succeeds(name, probe, ports):
                    if time.monotonic() > deadline:
                        raise EngineError(f"the pod {name} fails the probe {probe}: {self._logs(name)}")
                    time.sleep(1.0)

    def _succeeds(self, name: str, probe: dict[str, Any], ports: dict[str, int]) -> bool:
        try:
            if "exec" in probe:
                self._engine.podman("exec", container_name(name), *probe["exec"]["command"])
            elif "httpGet" in probe:
                target = probe["httpGet"]
                httpx.get(f"http://{self.address(name)}:{ports[target['port']]}{target['path']}", timeout=10).raise_for_status()
            else:
                socket.create_connection((self.address(name), ports[probe["tcpSocket"]["port"]]), timeout=10).close()
        except (EngineError, httpx.HTTPError, OSError):
            return False
        return True

    def check_hardening(self) -> None:
        """Check in the running containers what the manifests ask for: user, root, capabilities.

        Raises
        ------
        EngineError
            A container may do more.
        """
        for name in (*SERVERS, *ROLES):
            self._engine.check_hardened(container_name(name), user=NODE_USER if name in ROLES else None)

    def take_down(self) -> None:
        """Remove pods, PACS, volumes and network."""
        for names in (ROLES, ("migrate", *SERVERS)):
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(lambda name: self._engine.podman("pod", "rm", "--force", "--ignore", "--time", "40", PREFIX + name), names))
        self._engine.podman("rm", "--force", "--ignore", "--volumes", PACS)
        made = {document["metadata"]["name"] for document in (*volume_claims(), *of_kind(OVERLAY, "ConfigMap").values())}
        for volume in made & set(self._engine.podman("volume", "ls", "--format", "{{.Name}}").split()):
            self._engine.podman("volume", "rm", volume)
        self._engine.run("podman", "network", "rm", "--force", NETWORK, check=False)  # there is none where the start failed early

    def _logs(self, name: str) -> str:
        return self._engine.run("podman", "logs", "--tail", "15", container_name(name), check=False)
