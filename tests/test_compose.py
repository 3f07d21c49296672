"""The files of the Docker deployment, checked without an engine: schema, commands, settings, images, hardening."""

import contextlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from core.settings.settings import Settings
from deploy.images.sbom import bill_of_materials, release_materials
from deploy.local.database.database_roles import ADMIN
from deploy.local.ports import usable_port
from deploy.settings_file import load_settings
from tests.support.services import as_role

ROOT = Path(__file__).parent.parent
ROLES = ("listen", "conduct", "relay", "worker", "send", "console")
SERVERS = ("postgres", "valkey")
STANDINS = sorted((ROOT / "tests/containers/standins").glob("*.Dockerfile"))
DOCKERFILES = sorted((ROOT / "deploy/images").glob("*.Dockerfile"))


class _Reset:
    """``!reset``: the override takes the key away (Compose specification, 13-merge)."""


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!reset", lambda loader, node: _Reset())


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load((ROOT / name).read_text(), Loader=_Loader)
    return loaded


def _merged(base: Any, over: Any) -> Any:
    """``over`` upon ``base``, for mappings, scalars and ``!reset``."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    both = {key: _merged(base[key], value) if key in base else value for key, value in over.items()}
    return {key: value for key, value in {**base, **both}.items() if not isinstance(value, _Reset)}


GPU = _load("docker-compose.yml")
CPU = _merged(GPU, _load("docker-compose.cpu.yml"))
SERVICES: dict[str, dict[str, Any]] = GPU["services"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The secrets as the operator makes them."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    subprocess.run(["sh", str(ROOT / "deploy/conf/make-secrets.sh"), str(folder)], check=True, capture_output=True)
    return folder


def _settings(service: dict[str, Any], secrets: Path) -> Settings:
    """The settings that the service's own environment and configuration file give."""
    environ = {name: value.replace("/run/secrets/", f"{secrets}/") for name, value in service["environment"].items()}
    targets = {target: source for source, target, _ in (volume.split(":") for volume in service["volumes"] if volume.startswith("./"))}
    return load_settings(ROOT / targets[environ["DICOM_NODE_CONFIG"]], environ)


@pytest.mark.parametrize("project", [GPU, CPU], ids=["gpu", "cpu"])
def test_fits_the_compose_specification(project: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/support/compose-spec.json").read_text())
    problems = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(project)]
    assert problems == []


def test_every_part_of_the_node_is_there() -> None:
    assert set(SERVICES) == {*SERVERS, "migrate", *ROLES, "orthanc", "ohif"}
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"orthanc", "ohif"}


@pytest.mark.parametrize("name", ["migrate", *ROLES])
def test_the_command_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    done = subprocess.run([sys.executable, "-m", "deploy.cli", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in command if not word.isdigit())


@pytest.mark.parametrize("project", [GPU, CPU], ids=["gpu", "cpu"])
@pytest.mark.parametrize("name", ["migrate", *ROLES])
def test_every_setting_is_known(project: dict[str, Any], name: str, secrets: Path) -> None:
    settings = _settings(project["services"][name], secrets)
    password = (secrets / "postgres_password").read_text()
    assert re.fullmatch(r"postgresql://dicom_node:[0-9a-f]{48}@postgres:5432/dicom_node", settings.database.url)
    assert password not in settings.database.url  # the superuser is for the migration alone
    admin = f"postgresql://dicom_node_admin:{password}@postgres:5432/dicom_node" if name == "migrate" else ""
    assert settings.database.admin_url == admin
    assert f"requirepass {settings.broker.url.split(':')[2].split('@')[0]}" == (secrets / "broker_auth").read_text().strip()
    assert str(settings.node.data_dir) == "/data"


def test_secrets_are_drawn_once_and_closed(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run(["sh", str(ROOT / "deploy/conf/make-secrets.sh"), str(secrets)], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert set(before) == {Path(secret["file"]).name for secret in GPU["secrets"].values()}
    assert {secret["file"].split("/")[0] for secret in GPU["secrets"].values()} == {"secrets"}
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert "/secrets/" in (ROOT / ".gitignore").read_text().split()
    assert os.access(ROOT / "deploy/conf/make-secrets.sh", os.X_OK)


def test_the_gpu_is_reserved_and_the_override_takes_it_away(secrets: Path) -> None:
    (device,) = GPU["services"]["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert _settings(GPU["services"]["worker"], secrets).worker.device == "cuda"
    assert "deploy" not in CPU["services"]["worker"]
    assert _settings(CPU["services"]["worker"], secrets).worker.device == "cpu"


def test_the_services_are_hardened() -> None:
    for name, service in SERVICES.items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert service["read_only"] is (name != "orthanc"), name
        assert re.fullmatch(r"[1-9][0-9]*g", service["mem_limit"]), name
        assert 0 < service["pids_limit"] <= 2048, name
    for name in ("migrate", *ROLES):
        assert SERVICES[name]["user"] == "10001:10001", name
        assert SERVICES[name]["stop_grace_period"] == "40s", name
        assert SERVICES[name]["tmpfs"], name
    for name in SERVERS:
        assert SERVICES[name]["user"] not in {"root", "0", 0}, name
        assert "healthcheck" in SERVICES[name], name


def test_only_the_dicom_port_is_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"listen": ["${DICOM_NODE_PUBLISH:-11112}:11112"], "ohif": ["127.0.0.1:${DICOM_NODE_VIEWER:-3000}:8080"]}
    assert GPU["networks"]["inside"]["internal"] is True
    assert {name for name, service in SERVICES.items() if "outside" not in service["networks"]} == {
        "postgres", "valkey", "migrate", "relay", "worker", "console"}  # fmt: skip


def test_what_a_service_refers_to_is_declared() -> None:
    for name, service in SERVICES.items():
        assert set(service.get("secrets", [])) <= set(GPU["secrets"]), name
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        files = {source for source in sources if source.startswith("./")}
        assert sources - files <= set(GPU["volumes"]), name
        assert all((ROOT / file).is_file() for file in files), name
        assert set(service["networks"]) <= set(GPU["networks"]), name
        assert set(service.get("depends_on", [])) <= set(SERVICES), name
    assert "configs" not in GPU, "podman-compose does not mount them"


def test_the_broker_keeps_what_it_has() -> None:
    lines = (ROOT / "deploy/conf/valkey.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction", "include /run/secrets/broker_auth"} <= set(lines)


def test_node_and_test_pacs_know_each_other(secrets: Path) -> None:
    pacs = json.loads((ROOT / "deploy/conf/orthanc.json").read_text())
    settings = _settings(SERVICES["listen"], secrets)
    (destination,) = settings.destinations
    assert (destination.ae_title, destination.host, destination.port) == (pacs["DicomAet"], "orthanc", pacs["DicomPort"])
    (source,) = settings.sources
    assert source.ae_title == pacs["DicomAet"]
    (network,) = GPU["networks"]["outside"]["ipam"]["config"]
    assert source.host == network["subnet"]
    node = pacs["DicomModalities"]["node"]
    assert (node["AET"], node["Host"], node["Port"]) == (settings.node.ae_title, "listen", settings.node.port)
    assert SERVICES["listen"]["ports"][0].endswith(f":{settings.node.port}")
    assert f":{settings.node.port:04X} " in SERVICES["listen"]["healthcheck"]["test"][1]
    assert f":{settings.console.port}/healthz" in SERVICES["console"]["healthcheck"]["test"][3]


def test_the_listening_check_sees_a_listening_port(tmp_path: Path) -> None:
    """The health check's pattern, on the kernel's own table: finds a listening port, and not a merely connected one."""
    pattern = re.search(r"grep -q '(.*)' /proc/net/tcp", SERVICES["listen"]["healthcheck"]["test"][1])
    assert pattern is not None
    listening = "   0: 00000000:2B68 00000000:0000 0A 00000000:00000000 00:00000000 00000000"
    connected = "   1: 0100007F:2B68 0100007F:9C40 01 00000000:00000000 00:00000000 00000000"
    for line, found in ((listening, 0), (connected, 1)):
        (tmp_path / "tcp").write_text(line + "\n")
        assert subprocess.run(["grep", "-q", pattern[1], str(tmp_path / "tcp")], check=False).returncode == found


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_is_built_from_what_is_there(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    packages = {path.removesuffix("*") for path in _pyproject()["tool"]["setuptools"]["packages"]["find"]["include"]}
    copied = {source for line in re.findall(r"^COPY (?!--)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]}
    assert packages - copied == {"training"}, "the images serve models; they do not train them"
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in allowed, f".dockerignore keeps {source} away"
    sets = re.findall(r"hashed\.py (\w+) >/src/pins\.txt", text)
    assert sets, "the packages are installed with their hashes"
    for requirements in [*(f"requirements/{name}.txt" for name in sets), *re.findall(r"-r /src/(?!pins)(\S+)", text)]:
        assert (ROOT / requirements).is_file(), requirements
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["dicom-node"]' in text
    assert "dicom-node" in _pyproject()["project"]["scripts"]


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, *STANDINS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([str(program), "--no-color", str(dockerfile)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_describes_itself(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", text))
    assert labels == {"title", "description", "version", "revision", "licenses"}
    assert f'image.version="{_pyproject()["project"]["version"]}"' in text
    assert "HEALTHCHECK" in text
    assert re.search(r"deploy\.images\.sbom \S+ >/usr/share/dicom-node/sbom\.cdx\.json", text)
    name = re.search(r"compile_roles (\w+)$", text, re.MULTILINE)
    assert name is not None
    assert name[1] == dockerfile.stem


def test_the_bill_of_materials_lists_python_and_debian_packages(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u10\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    )
    document = bill_of_materials("dicom-node", status)
    assert (document["bomFormat"], document["metadata"]["component"]["name"]) == ("CycloneDX", "dicom-node")
    purls = {component["purl"] for component in document["components"]}
    assert "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64" in purls
    assert not any("gone" in purl for purl in purls)
    assert f"pkg:pypi/pydicom@{importlib.metadata.version('pydicom')}" in purls


def test_the_bill_of_materials_of_a_release_lists_its_pins() -> None:
    document = release_materials("dicom-node", [ROOT / "requirements" / f"{name}.txt" for name in ("torch", "worker", "embedded")])
    versions = {component["name"]: component["version"] for component in document["components"]}
    assert {"torch", "pydicom", "monai", "celery"} <= set(versions)
    for name in ("pydicom", "highdicom"):
        assert versions[name] == importlib.metadata.version(name)
    assert [component["purl"] for component in document["components"]] == sorted(component["purl"] for component in document["components"])


def test_the_services_name_images_that_exist() -> None:
    assert [path.name for path in DOCKERFILES] == ["node.Dockerfile", "worker.Dockerfile"]
    version = _pyproject()["project"]["version"]
    for name in ("migrate", *ROLES):
        service = SERVICES[name]
        kind = "worker" if name == "worker" else "node"
        assert service["build"]["dockerfile"] == f"deploy/images/{kind}.Dockerfile"
        assert service["image"] == ("dicom-node-worker" if kind == "worker" else "dicom-node") + f":{version}"


def test_the_node_image_has_no_torch_and_the_worker_image_the_pinned_one() -> None:
    installed = {line.split("==")[0] for line in (ROOT / "requirements/node.txt").read_text().splitlines() if "==" in line}
    assert "pynetdicom" in installed
    assert not installed & {"torch", "monai"}
    assert "torch" not in (ROOT / "deploy/images/node.Dockerfile").read_text().replace("no torch", "")
    pinned = re.search(r"^torch==\S+$", (ROOT / "requirements/torch.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert re.search(rf"pip install .* {re.escape(pinned[0])} ", (ROOT / "deploy/images/worker.Dockerfile").read_text())


def _only_in_the_worker_image() -> set[str]:
    """Top-level modules that the worker image has beyond the node image."""
    names = {}
    for image in ("node", "worker", "torch"):
        lines = (ROOT / f"requirements/{image}.txt").read_text().splitlines()
        names[image] = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines if "==" in line}
    absent = (names["worker"] | names["torch"]) - names["node"]
    modules = importlib.metadata.packages_distributions().items()
    return {module for module, owners in modules if {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} <= absent}


@pytest.fixture
def started(tmp_path: Path, database_url: str, broker_url: str) -> Iterator[httpx.Client]:
    """Every role but the worker, with the command, the environment and the packages that compose gives it; a client of the console."""
    absent = _only_in_the_worker_image()
    assert {"torch", "monai", "safetensors"} <= absent
    assert not absent & {"pydicom", "numpy", "celery"}
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({sorted(absent)!r}))  # None: not importable\n"
    )
    admin_url = as_role(database_url, ADMIN)
    for name, url in (("database_url", database_url), ("database_admin_url", admin_url), ("broker_url", broker_url)):
        (tmp_path / name).write_text(url)
    ports = {
        "DICOM_NODE_NODE__PORT": str(usable_port("127.0.0.1", 0, "node")),
        "DICOM_NODE_CONSOLE__PORT": str(usable_port("127.0.0.1", 0, "console")),
        "DICOM_NODE_UPLOAD__FOLDER": str(tmp_path / "uploads"),
    }
    processes = []

    def start(name: str) -> subprocess.Popen[bytes]:
        service = SERVICES[name]
        given = {key: value.replace("/run/secrets/", f"{tmp_path}/") for key, value in service["environment"].items()}
        own = {"DICOM_NODE_CONFIG": str(ROOT / "deploy/conf/node.toml"), "DICOM_NODE_NODE__DATA_DIR": str(tmp_path / "data"), **ports}
        own["PYTHONPATH"] = str(tmp_path)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("DICOM_NODE_")}
        return subprocess.Popen([sys.executable, "-m", "deploy.cli", *service["command"]], cwd=ROOT, env={**inherited, **given, **own})

    assert start("migrate").wait(600) == 0
    try:
        for role in ROLES:
            if role != "worker":
                processes.append(start(role))
        with httpx.Client(base_url=f"http://127.0.0.1:{ports['DICOM_NODE_CONSOLE__PORT']}") as client:
            yield client
    finally:
        for process in processes:
            process.terminate()
        assert [process.wait(600) for process in processes] == [0] * len(processes)


def test_the_roles_run_with_what_compose_gives_them(started: httpx.Client) -> None:
    """They come up, find each other in the database, and only the worker is missed; SIGTERM ends them within their grace period."""
    deadline, missing = time.monotonic() + 600, [""]
    while missing != ["worker: no heartbeat within 30 s"] and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            missing = started.get("/readyz").json()["missing"]
        time.sleep(0.2)
    assert missing == ["worker: no heartbeat within 30 s"]
    assert {role["role"] for role in started.get("/api/v1/status").json()["roles"]} == set(ROLES) - {"worker"}


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())
