"""Certificates and settings of the coordinator and each site, made by FLARE's provisioning.

The folder of a site goes to that site over a safe channel: it holds its private key. All connections are mutual TLS with the certificates
of this one training; a site that is not in it cannot connect.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError

PROJECT = "dicom-node"
ADMINISTRATOR = "coordinator@dicom-node.invalid"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
CONTROLLER = "training.federated.round_controller.RoundController"
EXECUTOR = "training.federated.site_executor.SiteExecutor"
PRIVACY_FILTER = "nvflare.app_common.filters.svt_privacy.SVTPrivacy"
LOG_COMPONENTS = ("site_log_streamer", "log_receiver")  # they would send the logs of a site to the coordinator


def write_startup_kits(out: Path, host: str, port: int, sites: Sequence[str]) -> Path:
    """Write a folder for the server, the coordinator's administrator and each site; return the folder that holds them.

    ``host``: the name or address under which sites reach the coordinator. FLARE uses ``port`` and the port after it.

    Raises
    ------
    ConfigurationError
        A name that no folder or certificate can have, fewer than two sites, or a folder that exists and is not empty.
    """
    from nvflare.lighter.provision import prepare_builders, prepare_project
    from nvflare.lighter.provisioner import Provisioner

    wrong = [site for site in sites if not NAME.fullmatch(site)]
    if wrong:
        raise ConfigurationError(f"a site is named by small letters, digits and hyphens, not {wrong[0]!r}")
    if len(set(sites)) < 2 or len(set(sites)) != len(sites):
        raise ConfigurationError("at least two sites with different names are needed", hint="give --site for each")
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty", hint="use another folder: kits of one training belong together")
    described = _project(host, port, sites)
    Provisioner(str(out.resolve()), prepare_builders(described), None).provision(prepare_project(described))
    found = next(iter(sorted((out / PROJECT).glob("prod_*"))))
    for kit in (found / host, *(found / site for site in sites)):
        restrict(kit)
    return found


def _project(host: str, port: int, sites: Sequence[str]) -> dict[str, Any]:
    server = {"name": host, "type": "server", "org": "coordinator", "fed_learn_port": port, "admin_port": port + 1}
    administrator = {"name": ADMINISTRATOR, "type": "admin", "org": "coordinator", "role": "project_admin"}
    clients = [{"name": site, "type": "client", "org": "site", "allow_log_streaming": False} for site in sites]
    impl = "nvflare.lighter.impl"
    return {
        "api_version": 3,
        "name": PROJECT,
        "gen_scripts": False,
        "participants": [server, *clients, administrator],
        "builders": [
            {"path": f"{impl}.workspace.WorkspaceBuilder", "args": {"template_file": ["master_template.yml"]}},
            {"path": f"{impl}.static_file.StaticFileBuilder", "args": {"config_folder": "config", "scheme": "tcp"}},
            {"path": f"{impl}.cert.CertBuilder", "args": {}},
            {"path": f"{impl}.signature.SignatureBuilder", "args": {}},
        ],
    }


def restrict(kit: Path) -> None:
    """Allow only this package's classes in jobs, send no logs, and keep all files of FLARE inside the kit's folder.

    Written again at every start, so that a kit that was changed or moved is restricted too.
    """
    local = kit / "local"
    resources: dict[str, Any] = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
    resources |= {"class_list_enforcement_mode": "enforce", "class_allow_list": [CONTROLLER, EXECUTOR, PRIVACY_FILTER]}
    resources["allow_log_streaming"] = False
    resources["components"] = [one for one in resources.get("components", []) if one["id"] not in LOG_COMPONENTS]
    text = json.dumps(resources, indent=1).replace("/tmp/nvflare", str(kit.resolve() / "storage"))
    (local / "resources.json").write_text(text + "\n", encoding="utf-8")


def privacy_arguments(epsilon: float) -> dict[str, float]:
    """Arguments of FLARE's filter: half of the values are shared, clipped at 0.01, with noise for ``epsilon``."""
    return {"fraction": 0.5, "epsilon": epsilon, "gamma": 0.01, "tau": 1e-5, "noise_var": epsilon}


def write_privacy(kit: Path, epsilon: float) -> None:
    """Let every update leave the site through FLARE's sparse vector technique with ``epsilon``; 0 removes the filter."""
    path = kit / "local" / "privacy.json"
    if not epsilon:
        path.unlink(missing_ok=True)
        return
    scope = {
        "name": "site",
        "task_result_filters": [{"path": PRIVACY_FILTER, "args": privacy_arguments(epsilon)}],
        "task_data_filters": [],
    }
    path.write_text(json.dumps({"scopes": [scope], "default_scope": "site"}, indent=1) + "\n", encoding="utf-8")
