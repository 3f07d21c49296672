"""docs/models/your-own.md: the bundle and the file that it prints can be imported as they stand."""

import contextlib
import re
import runpy
from pathlib import Path

import pytest

from core.errors import ModelError
from models import installed
from models.bundle.convert import convert

PAGE = (Path(__file__).parents[4] / "docs/models/your-own.md").read_text(encoding="utf-8")


def _block(kind: str) -> str:
    """Return the first block of the page in this language."""
    found = re.search(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def _write(tmp_path: Path) -> tuple[Path, Path]:
    """Write the bundle and about.toml of the page."""
    bundle, about = tmp_path / "bundle", tmp_path / "about.toml"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "models").mkdir()
    (bundle / "configs" / "metadata.json").write_text('{"version": "1.0.0"}')
    (bundle / "configs" / "inference.json").write_text(_block("json"))
    about.write_text(_block("toml"))
    (tmp_path / "weights.py").write_text(_block("python"))
    with contextlib.chdir(tmp_path):
        runpy.run_path("weights.py")
    return bundle, about


def test_the_example_is_imported(tmp_path: Path) -> None:
    convert(*_write(tmp_path), tmp_path / "made")
    place = installed.install_version(tmp_path / "made", tmp_path / "installed")
    assert (place.card.name, place.card.version) == ("bright_discs", "1.0.0")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence", "license", "has an unknown key license; did you mean licence"),
        ('scheme = "SCT", ', "", r"missing scheme \(correct about.toml"),
        ("[[labels]]", "[[label]]", "has an unknown key label; did you mean labels"),
    ],
)
def test_a_mistake_in_the_file_about_it_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    bundle, about = _write(tmp_path)
    about.write_text(about.read_text().replace(old, new))
    with pytest.raises(ModelError, match=message):
        convert(bundle, about, tmp_path / "made")


def test_a_label_is_missing(tmp_path: Path) -> None:
    bundle, about = _write(tmp_path)
    about.write_text(about.read_text()[: about.read_text().rindex("[[labels]]")])
    with pytest.raises(ModelError, match=r"the network has 2 outputs, and about.toml has 1 \[\[labels\]\]"):
        convert(bundle, about, tmp_path / "made")
