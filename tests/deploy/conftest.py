"""Input that the tests of this folder share, made once."""

from pathlib import Path

import pytest

from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, make_lesion

CONFIG = """\
[[sources]]
ae_title = "PACS"
host = "127.0.0.1"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = 1
accept_research = true
[[routes]]
name = "chest CT"
model = "lung_nodule_ct"
destinations = ["pacs"]
per_study = "best"
when = { Modality = "CT", body_part = "chest", SliceThickness = { max = 5.0 } }
[[routes]]
name = "skin"
model = "dermoscopy_7class"
destinations = ["pacs"]
priority = "urgent"
when = { SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.7", SourceAETitle = "CAMERA" }
"""


@pytest.fixture(scope="session")
def chest_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic chest CT series."""
    folder = tmp_path_factory.mktemp("chest")
    write_chest(folder, make_chest(7, slices=24, size=96, slice_mm=5.0, pixel_mm=2.2, diameters_mm=(12.0,)))
    return folder


@pytest.fixture(scope="session")
def skin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lesions: one as DICOM, one as JPEG; and a file that is neither."""
    folder = tmp_path_factory.mktemp("skin")
    lesion_dataset(3, size=(150, 200)).save_as(folder / "a.dcm", enforce_file_format=True)
    (folder / "b.jpg").write_bytes(make_lesion(4, size=(150, 200)).jpeg)
    (folder / "notes.txt").write_text("neither")
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a configuration with two routes, and a destination whose port is closed."""
    path = tmp_path / "node.toml"
    path.write_text(CONFIG)
    return path
