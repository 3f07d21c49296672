"""Writes the node.toml of the demo: free ports, short times until a series is complete, one source, one PACS."""

from pathlib import Path

from deploy.demo import modality
from deploy.demo.pacs.interface import AE_TITLE, Pacs
from imaging.photograph.header import DERMOSCOPIC_PHOTOGRAPHY, VL_PHOTOGRAPHIC

NODE_AE = "DEMONODE"
DESTINATION = "pacs"


def node_toml(port: int, console_port: int, pacs: Pacs) -> str:
    """Return the text of the configuration; the data folder is beside the file."""
    address = f'ae_title = "{AE_TITLE}", host = "127.0.0.1", port = {pacs.port}'
    query = f"\nquery = {{ {address} }}" if pacs.answers_queries else ""
    return f"""\
[node]
data_dir = "data"
ae_title = "{NODE_AE}"
port = {port}

[receive]
min_free_bytes = 0

[console]
port = {console_port}

[worker]
heat_map_budget_s = 60.0

[completion]
settle_s = 5.0
quiet_s = 10.0

[[sources]]
ae_title = "{modality.AE_TITLE}"
host = "127.0.0.1"{query}

[[destinations]]
name = "{DESTINATION}"
ae_title = "{AE_TITLE}"
host = "127.0.0.1"
port = {pacs.port}
objects = ["sr", "seg", "heatmap", "pdf"]
accept_research = true

[[routes]]
name = "chest CT"
model = "lung_nodule_ct"
destinations = ["{DESTINATION}"]
per_study = "best"
when = {{ Modality = "CT" }}

[[routes]]
name = "dermoscopy"
model = "dermoscopy_7class"
destinations = ["{DESTINATION}"]
when = {{ SOPClassUID = ["{DERMOSCOPIC_PHOTOGRAPHY}", "{VL_PHOTOGRAPHIC}"] }}
"""


def without_node_settings(environ: dict[str, str]) -> dict[str, str]:
    """Return the environment without ``DICOM_NODE_...``, so that the demo uses no database or folder of another node."""
    return {key: value for key, value in environ.items() if not key.startswith("DICOM_NODE_") or key == "DICOM_NODE_DATA"}


def write_config(folder: Path, text: str) -> Path:
    """Write the text to ``node.toml`` in ``folder``; return the path."""
    path = folder / "node.toml"
    path.write_text(text, encoding="utf-8")
    return path
