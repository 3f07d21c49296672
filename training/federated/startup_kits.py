"""Certificates and settings of the coordinator and each site, made by FLARE's provisioning.

The folder of a site goes to that site over a safe channel: it holds its private key. All connections are mutual TLS with the certificates
of this one training; a site that is not in it cannot connect.
"""

import json
import math
import re
import reprlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError

PROJECT = "dicom-node"
SITES = "sites.json"  # beside the kits: the names of the sites
ADMINISTRATOR = "coordinator@dicom-node.invalid"
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# Host name of labels (RFC 1123) or an IPv4 address: it becomes the name of a folder and of a certificate, which has at most 64 characters.
HOST = re.compile(r"(?=.{1,64}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
MOST_SITES = 1_000
MOST_PORT = 65_534
CONTROLLER = "training.federated.round_controller.RoundController"
EXECUTOR = "training.federated.site_executor.SiteExecutor"
PRIVACY_FILTER = "nvflare.app_common.filters.svt_privacy.SVTPrivacy"
STORAGE = "storage"  # of FLARE's own files, in the kit
JOB_CHECK = "training.federated.job_check.RoundJobsOnly"
# What FLARE lets the coordinator's administrator do. By its default everything, code of a job (byoc) and reading files of a site included.
ALLOWED = ("submit_job", "manage_job", "download_job", "view", "operate")
FORBIDDEN = ("byoc", "shell_commands", "clone_job", "server-predeployed-flwr", "call")
SHARED = 0.5  # of the values of an update, with noise
LEAST_EPSILON, MOST_EPSILON = 1e-3, 1e6
LOG_COMPONENTS = ("site_log_streamer", "log_receiver")  # they would send the logs of a site to the coordinator


def write_startup_kits(out: Path, host: str, port: int, sites: Sequence[str]) -> Path:
    """Write a folder for the server, the coordinator's administrator and each site; return the folder that holds them.

    ``host``: the name or address under which sites reach the coordinator. FLARE uses ``port`` and the port after it.

    Raises
    ------
    ConfigurationError
        A name that no folder or certificate can have, one name twice, fewer than two sites, or a folder that exists and is not empty.
    """
    from nvflare.lighter.provision import prepare_builders, prepare_project
    from nvflare.lighter.provisioner import Provisioner

    wrong = [site for site in sites if not NAME.fullmatch(site)]
    if wrong:
        raise ConfigurationError(
            f"a site is named by small letters, digits and hyphens, at most 40, not {reprlib.repr(wrong[0])}", hint="give it another name"
        )
    if not 2 <= len(sites) <= MOST_SITES or len(set(sites)) != len(sites):
        twice = sorted({site for site in sites if sites.count(site) > 1})
        came = f"{twice[0]!r} came twice" if twice else f"{len(sites)} came"
        raise ConfigurationError(f"from two to {MOST_SITES} sites with different names are needed, {came}", hint="give --site for each")
    if not HOST.fullmatch(host):
        raise ConfigurationError(
            f"the coordinator's host is a name of small letters, digits, hyphens and dots, or an IPv4 address, not {reprlib.repr(host)}",
            hint="give the name under which the sites reach it; capital letters and IPv6 are not used",
        )
    if host in sites:
        raise ConfigurationError(f"{host!r} is the coordinator's host and a site", hint="give the site another name")
    if not 1 <= port <= MOST_PORT:
        raise ConfigurationError(f"the port must be from 1 to {MOST_PORT}, not {port}: the next one is used too")
    if out.exists() and any(out.iterdir()):
        raise ConfigurationError(f"{out} is not empty", hint="use another folder: kits of one training belong together")
    described = _project(host, port, sites)
    Provisioner(str(out.resolve()), prepare_builders(described), None).provision(prepare_project(described))
    found = next(iter(sorted((out / PROJECT).glob("prod_*"))))
    for kit in (found / host, *(found / site for site in sites)):
        restrict(kit)
    (found / SITES).write_text(json.dumps(sorted(sites)) + "\n", encoding="utf-8")
    for path in (out, *out.rglob("*")):  # FLARE lets everybody read its state, which holds the private keys of all and of the authority
        path.chmod(0o700 if path.is_dir() or path.stat().st_mode & 0o100 else 0o600)
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
    """Allow only this package's classes and no other code in jobs, send no logs, and keep all files of FLARE inside the kit's folder.

    Written again at every start, so that a kit that was changed or moved is restricted too.
    """
    local = kit / "local"
    resources: dict[str, Any] = json.loads((local / "resources.json.default").read_text(encoding="utf-8"))
    resources |= {"class_list_enforcement_mode": "enforce", "class_allow_list": [CONTROLLER, EXECUTOR, PRIVACY_FILTER]}
    resources["allow_log_streaming"] = False
    resources["components"] = [one for one in resources.get("components", []) if one["id"] not in LOG_COMPONENTS]
    if (kit / "startup" / "fed_client.json").is_file():
        resources["app_validator"] = {"path": JOB_CHECK, "args": {}}
    text = json.dumps(resources, indent=1).replace("/tmp/nvflare", str(kit.resolve() / STORAGE))
    (local / "resources.json").write_text(text + "\n", encoding="utf-8")
    rights = dict.fromkeys(ALLOWED, "any") | dict.fromkeys(FORBIDDEN, "none")
    policy = {"format_version": "1.0", "permissions": {"project_admin": rights}}
    (local / "authorization.json").write_text(json.dumps(policy, indent=1) + "\n", encoding="utf-8")


def require_valid_certificates(kit: Path, now: datetime) -> None:
    """Raise ConfigurationError where a certificate of the kit is no longer or not yet valid at ``now``, or cannot be read.

    Without this check FLARE would try to connect for ever, and name the reason in its log alone.
    """
    from cryptography.x509 import load_pem_x509_certificate

    for path in (*sorted((kit / "startup").glob("*.crt")), kit / "startup" / "rootCA.pem"):
        try:
            certificate = load_pem_x509_certificate(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{path} is no certificate: {error}", hint="give the kit as `train federated kits` wrote it"
            ) from error
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not first <= now <= last:
            raise ConfigurationError(
                f"the certificate {path} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}, and it is {now:%Y-%m-%d}",
                hint="make new kits with `train federated kits`; a training continues with them. Or set the clock of this machine",
            )


def privacy_arguments(epsilon: float) -> dict[str, float]:
    """Arguments of FLARE's filter: half of the values are shared, clipped at 0.01, with noise for ``epsilon``.

    The filter is that of Li et al., Privacy-preserving federated brain tumour segmentation, 2019 (arXiv 1910.00962). ``epsilon`` is the
    budget for the choice of the values, and that of each value that is shared: see ``privacy_budget``.
    """
    return {"fraction": SHARED, "epsilon": epsilon, "gamma": 0.01, "tau": 1e-5, "noise_var": epsilon}


def privacy_budget(epsilon: float, values: int) -> float:
    """What one update of ``values`` numbers spends by FLARE's own accounting (pure differential privacy, added up; delta is 0).

    The choice costs ``epsilon``, and each shared value, a Laplace mechanism of its own, costs ``epsilon`` too. Rounds add up. It is far
    from what a guarantee needs (single figures for a whole training): the noise hides details of an update and guarantees nothing.
    """
    return epsilon * (1 + math.ceil(SHARED * values))


def require_noise(epsilon: float) -> None:
    """Raise ConfigurationError for an ``epsilon`` that the filter cannot use; 0 is no noise."""
    if not (epsilon == 0 or LEAST_EPSILON <= epsilon <= MOST_EPSILON):  # nan is neither
        raise ConfigurationError(
            f"--epsilon is 0, or from {LEAST_EPSILON:g} to {MOST_EPSILON:g}, not {epsilon:g}", hint="the smaller, the more noise; 0 is none"
        )


def write_privacy(kit: Path, epsilon: float) -> None:
    """Let every update leave the site through FLARE's sparse vector technique with ``epsilon``; 0 removes the filter."""
    require_noise(epsilon)
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
