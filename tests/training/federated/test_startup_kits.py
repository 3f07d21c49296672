"""What a site lets the coordinator do: the jobs that it deploys, the rights of the administrator, its files and certificates."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate
from nvflare.fuel.sec.authz import AuthzContext, Person
from nvflare.lighter.tool_consts import NVFLARE_SIG_FILE, NVFLARE_SUBMITTER_CRT_FILE
from nvflare.private.fed.app.default_app_validator import SiteType
from nvflare.private.fed.app.fl_app_validator import FLAppValidator
from nvflare.security.security import FLAuthorizer

from core.errors import ConfigurationError
from training.federated.flare_processes import SITE_CONFIG, write_job
from training.federated.job_check import RoundJobsOnly
from training.federated.startup_kits import ADMINISTRATOR, JOB_CHECK, require_valid_certificates, restrict

SITES = ("north", "south")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder that a site gets of a round."""
    write_job(tmp_path / "round-0", 0, SITES, 2)
    return tmp_path / "round-0" / "site"


def refusal(job: Path) -> str:
    """What FLARE answers before it deploys the job at a site."""
    return FLAppValidator(SiteType.CLIENT, [RoundJobsOnly()]).validate(str(job))[0]


def test_a_site_deploys_a_round_and_nothing_else(job: Path, kits: Path) -> None:
    """FLARE does not look at its list of classes where a job brings code, so that a coordinator could run anything at a site."""
    assert refusal(job) == ""
    for folder in (job, job / "config"):  # as FLARE signs a job when it is submitted
        (folder / NVFLARE_SIG_FILE).write_text("{}")
        (folder / NVFLARE_SUBMITTER_CRT_FILE).write_text("a certificate")
    assert refusal(job) == ""
    code = job / "custom" / "training" / "federated" / "site_executor.py"
    code.parent.mkdir(parents=True)
    code.write_text("print('code of the coordinator')")
    assert FLAppValidator(SiteType.CLIENT).validate(str(job)) == ("", {"byoc": True})  # what FLARE alone says
    assert "this one custom/training/federated/site_executor.py" in refusal(job)
    shutil.rmtree(job / "custom")
    (job / "custom").symlink_to("/tmp")
    assert "this one custom" in refusal(job)
    (job / "custom").unlink()
    config = json.loads((job / SITE_CONFIG).read_text())
    for changed in ({**config, "components": [{"id": "x", "path": "os.system"}]}, {**config, "task_data_filters": []}, [], {}):
        (job / SITE_CONFIG).write_text(json.dumps(changed))
        assert "not that of a round" in refusal(job)
    for name in SITES:
        resources = json.loads((kits / name / "local" / "resources.json").read_text())
        assert resources["app_validator"] == {"path": JOB_CHECK, "args": {}}


def test_the_coordinator_may_run_rounds_and_neither_send_code_nor_read_files_of_a_site(kits: Path) -> None:
    person = Person(ADMINISTRATOR, "coordinator", "project_admin")
    for kit in ("localhost", *SITES):
        restrict(kits / kit)
        for file, forbidden in (("authorization.json.default", True), ("authorization.json", False)):
            policy = FLAuthorizer("site", json.loads((kits / kit / "local" / file).read_text()))
            may = {
                right: policy.authorize(AuthzContext(right=right, user=person, submitter=person))[0]
                for right in ("byoc", "cat", "ls", "grep", "clone_job", "submit_job", "abort_job", "delete_job", "download_job", "shutdown")
            }
            assert may == {right: forbidden or (right.endswith("_job") and right != "clone_job") or right == "shutdown" for right in may}


def test_only_the_owner_can_read_keys_kits_and_the_state_of_the_authority(kits: Path) -> None:
    root = kits.parents[1]
    assert "BEGIN" in (root / "dicom-node" / "state" / "cert.json").read_text()
    assert (kits / "north" / "startup" / "client.key").is_file()
    assert [str(path) for path in (root, *root.rglob("*")) if path.stat().st_mode & 0o077] == []


def test_a_kit_whose_certificates_have_expired_is_refused_with_the_date(kits: Path, tmp_path: Path) -> None:
    for kit, name in (("north", "client.crt"), ("localhost", "server.crt")):
        certificate = load_pem_x509_certificate((kits / kit / "startup" / name).read_bytes())
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        require_valid_certificates(kits / kit, first)
        require_valid_certificates(kits / kit, last - timedelta(hours=1))
        for outside in (first - timedelta(seconds=1), last + timedelta(seconds=1)):
            with pytest.raises(ConfigurationError, match=f"is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}.*make new kits"):
                require_valid_certificates(kits / kit, outside)
    shutil.copytree(kits / "north", tmp_path / "north")
    (tmp_path / "north" / "startup" / "client.crt").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"client\.crt is no certificate"):
        require_valid_certificates(tmp_path / "north", first)
