"""The manifests of deploy/kubernetes: valid for every supported version, hardened, closed by default, and in agreement with the node."""

from pathlib import Path

import kubernetes_validate
import pytest

from core.settings.settings import Settings
from deploy.settings_file import load_settings
from tests.deploy.kubernetes.manifests import FOLDER, OVERLAYS, containers, of_kind, pods
from tests.deploy.kubernetes.manifests import built as all_of

ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
VERSIONS = ("1.31", "1.37")
OF_OPERATORS = ("PrometheusRule", "ServiceMonitor")  # kinds of the Prometheus Operator have no schema in Kubernetes
KEYS = {"database_url": "postgresql://n:p@postgres/n", "broker_url": "redis://valkey", "store_access_key": "a", "store_secret_key": "s"}
KEYS["database_admin_url"] = "postgresql://a:p@postgres/n"

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@overlays
def test_every_object_is_valid(overlay: str) -> None:
    for item in all_of(overlay):
        for version in VERSIONS if overlay == "ha" else VERSIONS[:1]:
            if item["kind"] not in OF_OPERATORS:
                kubernetes_validate.validate(item, version, strict=True)


def test_an_invalid_object_would_be_noticed() -> None:
    service = dict(of_kind("cpu", "Service")["dicom"])
    service["spec"] = service["spec"] | {"externalTrafficPolcy": "Local"}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(service, VERSIONS[-1], strict=True)


@overlays
def test_every_container_is_hardened_and_limited(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            hardening = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert container["securityContext"] == hardening, name
            assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
            assert "memory" in container["resources"]["limits"], name
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in spec["volumes"]} | {"data"}, name


@overlays
def test_every_role_has_its_deployment_and_a_disruption_budget(overlay: str) -> None:
    deployments, budgets = of_kind(overlay, "Deployment"), of_kind(overlay, "PodDisruptionBudget")
    assert set(deployments) == set(ROLES) == set(budgets)
    for role in ROLES:
        spec = deployments[role]["spec"]
        (main,) = spec["template"]["spec"]["containers"]
        assert main["args"] == [role]
        assert main["image"] == ("dicom-node-worker:0.1.0" if role == "worker" else "dicom-node:0.1.0")
        assert spec["template"]["metadata"]["labels"] == {"role": role} == budgets[role]["spec"]["selector"]["matchLabels"]
        assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > 30  # a role drains within 30 s
        (waiting,) = spec["template"]["spec"]["initContainers"]
        assert waiting["args"] == ["db", "wait"]
        assert spec.get("replicas") == (None if overlay == "ha" and role == "worker" else 2 if overlay == "ha" else 1)
    assert of_kind(overlay, "Job")["migrate"]["spec"]["template"]["spec"]["containers"][0]["args"] == ["db", "upgrade"]


@overlays
def test_the_network_is_closed_by_default_and_only_the_migration_has_the_superuser(overlay: str) -> None:
    policies = of_kind(overlay, "NetworkPolicy")
    assert policies["closed"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])):
            assert rule.get("ports"), f"{name} opens every port"
            assert rule.get("from") or rule.get("to"), f"{name} is open to everybody"
    for name, pod in pods(overlay).items():
        sources = [volume["secret"] for volume in pod["spec"]["volumes"] if "secret" in volume]
        assert all(source["secretName"] == "dicom-node" and source["items"] for source in sources)
        assert any(item["key"] == "database_admin_url" for source in sources for item in source["items"]) == (name == "migrate")


@overlays
def test_the_address_of_a_sender_is_kept(overlay: str) -> None:
    service = of_kind(overlay, "Service")["dicom"]["spec"]
    assert (service["type"], service["externalTrafficPolicy"]) == ("LoadBalancer", "Local")
    assert service["loadBalancerSourceRanges"]


@overlays
def test_environment_and_configuration_make_the_settings_of_a_node(overlay: str, tmp_path: Path) -> None:
    """The variables of each container and the configuration of the overlay are read by the program itself."""
    (text,) = [item["data"]["node.toml"] for name, item in of_kind(overlay, "ConfigMap").items() if name.startswith("node-")]
    config = tmp_path / "node.toml"
    config.write_text(text)
    for key, value in KEYS.items():
        (tmp_path / key).write_text(value)
    for name, pod in pods(overlay).items():
        for container in containers(pod):
            variables = {entry["name"]: entry["value"] for entry in container.get("env", []) if entry["name"].startswith("DICOM_NODE")}
            if not variables:
                assert name in ("postgres", "valkey")
                continue
            assert variables["DICOM_NODE_CONFIG"] == "/etc/dicom-node/node.toml"
            keys = {item["key"] for volume in pod["spec"]["volumes"] for item in volume.get("secret", {}).get("items", [])}
            used = {value.removeprefix("/run/secrets/dicom-node/") for key, value in variables.items() if key.endswith("_FILE")}
            assert used == keys
            local = {key: str(tmp_path / Path(value).name) if key.endswith("_FILE") else value for key, value in variables.items()}
            settings = load_settings(config, local)
            _check_settings(settings, overlay, container["args"][0])


def _check_settings(settings: Settings, overlay: str, command: str) -> None:
    assert (settings.node.host, settings.node.port) == ("0.0.0.0", 11112)
    assert settings.node.port == 0x2B68  # what the probes of the listener look for
    assert settings.console.port == 8484
    assert settings.store.url == ("s3://dicom-node/blobs" if overlay == "ha" else "")
    assert settings.blob_cache_dir == Path("/cache/blobs")
    assert settings.store.cache_bytes < 40 << 30  # sizeLimit of /cache, which the viewer's images share
    if command == "worker":
        assert settings.worker.device == ("cpu" if overlay == "cpu" else "cuda")


def test_a_gpu_worker_asks_for_a_gpu_and_a_queue_scales_it() -> None:
    for overlay in OVERLAYS:
        (worker,) = pods(overlay)["worker"]["spec"]["containers"]
        assert worker["resources"]["limits"].get("nvidia.com/gpu") == (None if overlay == "cpu" else "1")
    scaler = of_kind("ha", "HorizontalPodAutoscaler")["worker"]["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}
    assert scaler["metrics"][0]["external"]["metric"]["name"] == "dicom_node_queued_jobs"


@overlays
def test_anchors_outlive_the_pods_and_the_console_reads_those_of_send(overlay: str, tmp_path: Path) -> None:
    (text,) = [item["data"]["node.toml"] for name, item in of_kind(overlay, "ConfigMap").items() if name.startswith("node-")]
    (tmp_path / "node.toml").write_text(text)
    settings = load_settings(tmp_path / "node.toml", {})
    places = set()
    for role in ("send", "console"):
        spec = pods(overlay)[role]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        for file in (settings.anchor_file, settings.anchor_key):
            folder = next(str(parent) for parent in file.parents if str(parent) in mounts)
            places.add((folder, volumes[mounts[folder]]["persistentVolumeClaim"]["claimName"]))
    assert len(places) == 1


@overlays
def test_imported_models_outlive_the_pods_and_every_role_reads_the_same_ones(overlay: str) -> None:
    claims = set()
    for role in ("conduct", "send", "console", "worker"):
        spec = pods(overlay)[role]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
        mount = mounts.get("/data/models", mounts["/data"])
        claims.add(volumes[mount["name"]].get("persistentVolumeClaim", {}).get("claimName"))
        if "/data/models" in mounts:
            assert not mounts["/data"].get("readOnly"), "the folder of the mount is made in it"
    assert len(claims) == 1
    assert None not in claims


def test_blobs_in_a_bucket_need_no_shared_volume() -> None:
    assert set(of_kind("ha", "PersistentVolumeClaim")) == {"uploads", "audit", "models"}
    for name in ROLES:
        (data,) = [volume for volume in pods("ha")[name]["spec"]["volumes"] if volume["name"] == "data"]
        assert set(data) == {"name", "emptyDir"}


def test_every_file_of_the_folder_is_used() -> None:
    """A manifest that no kustomization names would be forgotten in silence."""
    named = "\n".join(path.read_text() for path in FOLDER.rglob("kustomization.yaml"))
    for path in FOLDER.rglob("*"):
        if path.is_file() and path.name != "kustomization.yaml":
            assert path.name in named, path
