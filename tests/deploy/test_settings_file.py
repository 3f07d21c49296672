"""Reading of the configuration from file and environment, and its error messages."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from core.policy.priors.choice import PriorRule
from core.settings.settings import Settings
from deploy.settings_file import load_settings

EXAMPLE = """
[node]
data_dir = "data"
ae_title = "DICOMNODE"
host = "127.0.0.1"
port = 11112
processes = 1
timezone = ""
[database]
url = ""
[broker]
url = ""
[console]
host = "127.0.0.1"
port = 8484
[completion]
settle_s = 10.0
quiet_s = 30.0
max_wait_s = 900.0
[[sources]]
ae_title = "PACS"
host = "10.0.0.0/8"
query = { ae_title = "PACS", host = "10.0.0.5", port = 104 }
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 4242
objects = ["sr", "seg", "heatmap"]
storage_commitment = false
accept_research = false
[[routes]]
name = "chest CT"
model = "lung_nodule_ct"
destinations = ["pacs"]
priority = "routine"
per_study = "best"
when = { Modality = "CT", body_part = "chest", SliceThickness = { max = 5.0 } }
priors = { count = 1, within_days = 1825, same = ["Modality", "BodyPartExamined"] }
"""


DIMSE = """ae_title = "PACS"
host = "127.0.0.1"
port = 4242
"""


def _load(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "node.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ)


def test_the_example_of_the_interface_loads(tmp_path: Path) -> None:
    settings = _load(tmp_path, EXAMPLE)
    assert settings.node.data_dir == tmp_path / "data", "a relative folder starts at the file"
    assert settings.sources[0].query is not None
    assert settings.routes[0].per_study == "best"
    assert settings.routes[0].priors is not None
    assert settings.routes[0].priors.rule == PriorRule(1, 1825, ("Modality", "BodyPartExamined"))
    assert settings.destination("pacs") is settings.destinations[0]


def test_the_environment_takes_precedence_and_secrets_come_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:p@db/x\n")
    settings = _load(tmp_path, EXAMPLE, DICOM_NODE_NODE__PORT="104", DICOM_NODE_DATABASE__URL_FILE=str(secret), HOME="/root")
    assert settings.node.port == 104
    assert settings.database.url == "postgresql://u:p@db/x"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("DICOM_NODE_NODE__PROT", "1", "the environment's DICOM_NODE_NODE__PROT: unknown key"),
        ("DICOM_NODE_NODE__PORT", "x", 'the environment\'s DICOM_NODE_NODE__PORT: expected a whole number, got "x"'),
        ("DICOM_NODE_PORT", "1", "the environment sets DICOM_NODE_PORT, which no setting has"),
    ],
)
def test_an_error_of_the_environment_names_the_variable(tmp_path: Path, variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, EXAMPLE, **{variable: value})
    assert str(caught.value).startswith(message)
    assert "node.toml" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("port = 11112", "prt = 11112", "node.prt: unknown key; did you mean port?"),
        ("[database]", "[databse]", "databse: unknown key; did you mean database?"),
        ('host = "10.0.0.0/8"', 'hots = "10.0.0.0/8"', "[[sources]] number 1: hots: unknown key; did you mean host?"),
        ("port = 11112", "colour = 1", "node.colour: unknown key (see"),
        ("port = 11112", "port = 70000", "node.port: "),
        ('ae_title = "DICOMNODE"', 'ae_title = "A TITLE OF MORE THAN SIXTEEN"', "node.ae_title: an AE title has 1 to 16"),
        ('host = "10.0.0.0/8"', 'host = "pacs.example"', "neither an IP address nor a CIDR block"),
        ('destinations = ["pacs"]', 'destinations = ["pacz"]', "route 'chest CT' sends to pacz"),
        ('Modality = "CT"', 'Modalty = "CT"', "'Modalty' is not a DICOM keyword"),
        ('priority = "routine"', 'priority = "soon"', "[[routes]] number 1: priority: expected 'routine' or 'urgent', got \"soon\""),
        (
            '"BodyPartExamined"]',
            '"PatientID"]',
            "[[routes]] number 1: priors.same: 'same' takes Modality, BodyPartExamined, SeriesDescription, which the node holds of every "
            "series, not PatientID",
        ),
        ("count = 1", "counts = 1", "[[routes]] number 1: priors.counts: unknown key; did you mean count?"),
        ("count = 1", "count = 0", "[[routes]] number 1: priors.count: expected at least 1, got 0"),
        ("within_days = 1825", "within_days = 0", "[[routes]] number 1: priors.within_days: expected at least 1, got 0"),
        ('"BodyPartExamined"]', '"Modality"]', "'same' names an attribute twice"),
        (
            'objects = ["sr", "seg", "heatmap"]',
            'objects = ["sr", "srr"]',
            "toml: [[destinations]] number 1: objects, value 2: expected one of sr, seg, heatmap, parametric_map",
        ),
        ('objects = ["sr", "seg", "heatmap"]', 'objects = ["seg"]', "toml: [[destinations]] number 1: objects must hold 'sr' or 'pdf'"),
        (
            DIMSE + 'objects = ["sr", "seg", "heatmap"]\nstorage_commitment = false',
            'folder = "/out"\nstorage_commitment = true',
            "storage_commitment is a service of DIMSE",
        ),
        ('name = "pacs"\nae_title = "PACS"', 'name = "pacs"', "a destination needs ae_title, host and port"),
        ('name = "pacs"\n', 'name = "pacs"\nstow_url = "https://x/dicom-web"\n', "exactly one address"),
        ('name = "pacs"\n', 'name = "pacs"\nfolder = "/out"\n', "exactly one address"),
        ('name = "pacs"\n', 'name = "pacs"\ntoken_file = "/t"\n', "belong to stow_url"),
        ('name = "pacs"\n', 'name = "pacs"\ntls = { cert = "c.pem" }\n', "cert and key are given together"),
        (DIMSE, 'stow_url = "ftp://x/y"\n', "stow_url is http(s)://"),
        (DIMSE, 'stow_url = "https://me:secret@x/y"\n', "without user, password"),
        (DIMSE, 'stow_url = "http://pacs/dicom-web"\ntoken_file = "/t"\n', "a secret goes over https:// only"),
        (DIMSE, 'stow_url = "https://pacs/dicom-web"\nuser = "me"\n', "user and password_file together"),
        (DIMSE, 'stow_url = "http://pacs/dicom-web"\ntls = {}\n', "tls needs an https:// stow_url"),
        (DIMSE, 'folder = "out"\n', "folder is an absolute path"),
        (DIMSE, "", "exactly one address"),
        ("[node]", "[audit]\nto_webhook = true\n[node]", "webhook.url, which is empty"),
        ('"sr", "seg", "heatmap"', '"sr", "rejection"', "objects, value 2: objects lists parts of a result"),
        (DIMSE, 'folder = "/out"\ntls = {}\n', "a folder has no tls"),
        ("port = 11112", 'port = "dicom"', 'node.port: expected a whole number, got "dicom"'),
        ("port = 11112", "port = 111120", "node.port: expected at most 65535, got 111120"),
        ('timezone = ""', 'timezone = "Europe/Berln"', "node.timezone: expected +0100 or a name such as Europe/Berlin, got 'Europe/Berln'"),
        ("port = 8484", 'port = 8484\ntime_zone = "Europe/Berln"', "console.time_zone: 'Europe/Berln' is not a time zone (give a name"),
        ("processes = 1", "processes = 0", "node.processes: expected at least 1, got 0"),
        ("[node]", "[[node]]", "toml: node: expected a table, written once, in single brackets (see"),
        ("[node]", 'webhook = "quick"\n[node]', 'toml: webhook: expected a table, got "quick"'),
        ("[[sources]]", "[sources]", "toml: sources: write [[sources]], once for each"),
        ('destinations = ["pacs"]', 'destinations = "pacs"', 'destinations: expected a list such as ["one", "two"], got "pacs"'),
        ("[[destinations]]", "[logs]\nlevel = 1\n[[destinations]]", "logs.level: expected 'debug', 'info', 'warning' or 'error', got 1"),
        ("when = {", "# when = {", "[[routes]] number 1: when: missing: this key has no default"),
        ('[broker]\nurl = ""', '[broker]\nurl = "amqp://me:hush@host"', "broker.url: expected redis://:password@host:port/0"),
        ('[database]\nurl = ""', "[database]\nurl = 5432", "database.url: expected text in quotes (see"),
        ("[node]", "[node", "cannot be read: line 2: expected ']'"),
        ('"DICOMNODE"', "DICOMNODE", "cannot be read: line 4, ae_title: invalid value (text stands in straight double quotes"),
        ("port = 11112", "port = 11112\nport = 104", "line 7, port: cannot overwrite a value (a key stands in a table once"),
        ("[broker]", "[database]", "line 11: cannot declare [database] twice (a table stands in the file once"),
        ('"data"', '"C:\\users"', "line 3, data_dir: invalid hex value (in double quotes a backslash is written as"),
    ],
)
def test_an_error_names_its_place_on_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(ConfigurationError) as caught:
        _load(tmp_path, EXAMPLE.replace(old, new, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_an_editor_on_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[node]\nae_title = "RADIOLOGIE"\n', encoding="utf-8-sig")
    assert load_settings(path, {}).node.ae_title == "RADIOLOGIE"
    path.write_text('[node]\nae_title = "RADIOLOGIE"  # für alle\n', encoding="latin-1")
    with pytest.raises(ConfigurationError, match=r"its text is not in UTF-8 \(save it as UTF-8\)"):
        load_settings(path, {})


@pytest.mark.parametrize("name", ["DICOM_NODE_NODE__PRT", "DICOM_NODE_NOD__PORT", "DICOM_NODE_PORT", "DICOM_NODE_ROUTES__0"])
def test_an_unknown_variable_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown key|which no setting has|list of tables"):
        _load(tmp_path, EXAMPLE, **{name: "1"})


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="DICOM_NODE_DATABASE__URL_FILE names /nowhere"):
        _load(tmp_path, EXAMPLE, DICOM_NODE_DATABASE__URL_FILE="/nowhere")
