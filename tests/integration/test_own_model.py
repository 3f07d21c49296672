"""docs/models/your-own.md, command by command: from a network in a file to a version that serves, one beside it, and a trial."""

import contextlib
import json
import re
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import node_toml
from tests.support.monai_classifiers import radiograph
from tests.support.node_process import RunningNode, wait_until
from tests.support.series import SR
from tests.support.storage_scp import Pacs, running
from tests.support.storage_scu import dcmtk

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]

PAGE = (Path(__file__).parents[2] / "docs/models/your-own.md").read_text(encoding="utf-8")
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
VERSIONS = {"bundle": "1.0.0", "bundle-2": "2.0.0"}


def blocks(kind: str) -> list[str]:
    """The blocks of the page in one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Every command of the page, in its order, as words without comments."""
    lines = [line.partition("#")[0].split() for block in blocks("sh") for line in block.splitlines()]
    return [words for words in lines if words and words[0] != "export"]


def write_bundles(folder: Path) -> None:
    """Write two bundles, of one network with other weights, and the file about each: what the page prints, and what it asks for."""
    for name, version in VERSIONS.items():
        (folder / "bundle" / "configs").mkdir(parents=True)
        (folder / "bundle" / "models").mkdir()
        (folder / "bundle" / "configs" / "metadata.json").write_text('{"version": "1.0.0"}')
        (folder / "bundle" / "configs" / "inference.json").write_text(blocks("json")[0])
        (folder / "weights.py").write_text(blocks("python")[0])
        runpy.run_path("weights.py")
        (folder / f"about{name.removeprefix('bundle')}.toml").write_text(blocks("toml")[0].replace("1.0.0", version))
        (folder / "bundle").rename(folder / f"{name}.made")
    for name in VERSIONS:
        (folder / f"{name}.made").rename(folder / name)


def write_configuration(folder: Path, port: int) -> Path:
    """Write node.toml with the tables of the page, for a PACS on this machine."""
    (tables,) = [block for block in blocks("toml") if "[[routes]]" in block]
    tables = tables.replace("10.20.30.40", "127.0.0.1").replace("port = 104", f"port = {port}")
    config = folder / "node.toml"
    config.write_text(f"{node_toml.ports(ae_title='DICOMNODE', timezone='+0100')}[worker]\nchildren = 1\n{tables}")
    return config


class Reader:
    """Does what the page says, in a folder of its own."""

    def __init__(self, node: RunningNode, pacs: Pacs, folder: Path) -> None:
        self.node, self._pacs = node, pacs
        self._images = folder / "images"
        self._images.mkdir()

    def do(self, words: list[str]) -> str:
        """Carry out one command; what it prints."""
        words = [str(self._images) if word == "FOLDER" else word for word in words]
        if words[:2] == ["dicom-node", "up"]:
            self.node.start()
            return ""
        if words[0] == "storescu":
            return self.send([dcmtk("storescu"), *(str(self.node.port) if word == "11112" else word for word in words[1:-1])])
        assert words[0] == "dicom-node"
        if words[1:3] == ["rules", "test"]:
            self.make_image(0)
        elif words[1:3] == ["jobs", "list"]:
            wait_until("the delivery", lambda: "delivered" in self.node.all_output("jobs", "list"))
        elif words[1:3] == ["models", "compare"]:  # the shadow has to see an image first
            self.send([dcmtk("storescu"), "-aet", "PACS", "-aec", "DICOMNODE", "127.0.0.1", str(self.node.port)])
            wait_until("the result of the shadow", self._compared)
        said = self.node.all_output(*words[1:])
        assert "dicom-node: " not in said, said  # an error
        return said

    def make_image(self, number: int) -> Path:
        """Write a radiograph."""
        path = self._images / f"{number}.dcm"
        radiograph(number % 2 == 0, number).save_as(path, enforce_file_format=True)
        return path

    def send(self, storescu: list[str]) -> str:
        """Send another radiograph, and wait for its report at the PACS."""
        number = len(list(self._images.iterdir()))
        before = self._reports()
        subprocess.run([*storescu, str(self.make_image(number))], check=True)
        wait_until("the report", lambda: self._reports() > before)
        return ""

    def _reports(self) -> int:
        return sum(dataset.SOPClassUID == SR for dataset in self._pacs.stored.values())

    def _compared(self) -> bool:
        rows = self.node.json("models", "compare", "bright_discs", "--json")
        return any(row["shadow_version"] == "2.0.0" and row["units"] for row in rows)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with running(Pacs(), classes=(SR, SECONDARY_CAPTURE)) as pacs, contextlib.chdir(tmp_path):
        write_bundles(tmp_path)
        node = RunningNode(write_configuration(tmp_path, pacs.port))
        try:
            yield Reader(node, pacs, tmp_path)
        finally:
            node.stop_or_kill()


def test_the_page_leads_to_a_served_shadowed_compared_and_tried_model(reader: Reader, tmp_path: Path) -> None:
    said = {" ".join(words[1:4] if words[0] == "dicom-node" else words[:1]): reader.do(words) for words in commands()}
    assert "bright_discs" in said["models import bundle/"]
    assert "radiographs" in said["rules test FOLDER"]
    assert "delivered" in said["jobs list"]
    assert "2.0.0" in said["models compare bright_discs"]
    assert "written: trial-2.0.0/trial.html" in said["trial bright_discs 2.0.0"]
    figures = json.loads((tmp_path / "trial-2.0.0" / "trial.json").read_text())
    assert (figures["units"], figures["answered"]["n"], figures["agreement"][0]["version"]) == (2, 2, "1.0.0")
    states = {row["version"]: row["state"] for row in reader.node.json("models", "list", "--json") if row["name"] == "bright_discs"}
    assert states == {"1.0.0": "standby", "2.0.0": "active"}
