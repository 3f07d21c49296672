"""Imports classifiers for OCT volumes and whole slides into a running node, sends one of each, and checks the reports."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import FileDataset

from deploy.demo.modality import send_files
from deploy.demo.result_check import dciodvfy_errors
from tests.support.monai_classifiers import RESNET, about_modality, inference, make_classifier
from tests.support.multi_frame import oct_volume
from tests.support.node_process import RunningNode
from tests.support.orthanc import Orthanc
from tests.support.slides import TILE, pyramid

TABLES = {"OPT": {"frames": {"top": 1}}, "SM": {"tiles": {"magnification": 20, "size": TILE, "top": 1}}}


def import_and_send_series(node: RunningNode, folder: Path) -> list[FileDataset]:
    """Serve one network under two names, and send a volume and the levels of a pyramid; return an image of each series."""
    bundle = make_classifier(folder / "zoo" / "bundle", inference(RESNET | {"n_input_channels": 1}), steps=40)
    routes = [node.config.read_text()]
    for modality, stated in TABLES.items():
        name = f"discs_{modality.lower()}"
        (folder / "about.toml").write_text(about_modality(modality, **stated).replace("bright_discs", name))
        node.cli("models", "import", str(bundle), "--about", str(folder / "about.toml"))
        node.cli("models", "activate", name, "1.0.0")
        route = f'name = "{modality}"\nmodel = "{name}"\ndestinations = ["first", "second"]\nwhen = {{ Modality = "{modality}" }}\n'
        routes.append("[[routes]]\n" + route)
    node.config.write_text("".join(routes))
    node.cli("reload")
    volume, levels = oct_volume([False, True, False]), pyramid(discs=((2, 5),))
    for image in (volume, *levels):
        image.save_as(folder / f"{image.SOPInstanceUID}.dcm", enforce_file_format=True)
    send_files(sorted(folder.glob("*.dcm")), "127.0.0.1", node.port, "NODE")
    return [volume, levels[0]]


def check_series_reports(pacs: Orthanc, export: Sequence[Mapping[str, Any]], images: Sequence[FileDataset], folder: Path) -> None:
    """Check that each series has one finding, and a valid report in the PACS."""
    stored = {report["SOPInstanceUID"]: report["ID"] for report in pacs.reports()}
    for image in images:
        (row,) = [row for row in export if row["series_instance_uid"] == image.SeriesInstanceUID]
        assert (row["outcome"], row["finding"]) == ("findings", "disc"), row["reason"]
        path = folder / "report"
        path.write_bytes(pacs.file(stored[row["sr_sop_instance_uid"]]))
        assert dciodvfy_errors(path) == []
