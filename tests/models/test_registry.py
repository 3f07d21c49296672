"""The registry of shipped models, and the hashes of their weights."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import ModelError
from models import registry, runtime
from models.card import read_card

NAME = "dermoscopy_7class"
MODELS = registry.MODELS_FOLDER


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the shipped models, with a copy of one model's card and weights, free to be damaged."""
    folder = tmp_path / "dermoscopy"
    folder.mkdir()
    for file in ("card.toml", "weights.safetensors"):
        shutil.copy(MODELS / "dermoscopy" / file, folder / file)
    monkeypatch.setattr(registry, "MODELS_FOLDER", tmp_path)
    return tmp_path


def test_the_weights_of_the_shipped_models_have_the_hashes_of_their_cards() -> None:
    assert NAME in registry.names()
    for name in registry.names():
        assert registry.card(name).name == name
        assert registry.verify_weights(registry.folder(name)) == registry.folder(name) / registry.card(name).weights


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=f"no model 'nobody'.*{NAME}"):
        registry.folder("nobody")


@pytest.mark.parametrize("place", [0, 9, 1000, -1])
def test_one_flipped_bit_in_the_weights_is_refused(root: Path, place: int) -> None:
    path = root / "dermoscopy" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    expected = registry.card(NAME).weights_sha256
    with pytest.raises(ModelError, match=rf"has sha256 [0-9a-f]{{64}}, its card expects {expected}"):
        registry.verify_weights(registry.folder(NAME))
    with pytest.raises(ModelError, match="its card expects"):
        runtime.load(NAME, device="cpu")


def test_missing_weights_are_named(root: Path) -> None:
    (root / "dermoscopy" / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        registry.verify_weights(registry.folder(NAME))


def test_only_a_shipped_model_may_lack_its_weights_and_only_without_torch(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "dermoscopy"
    assert registry.check_weights(folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        registry.check_weights(folder)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not registry.check_weights(folder)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        registry.check_weights(folder)


def test_the_pipeline_digest_changes_with_every_byte_of_the_card(root: Path) -> None:
    before = registry.pipeline_digest(NAME)
    assert before == registry.folder_digest(MODELS / "dermoscopy") == registry.pipeline_digest(NAME)
    assert len(before) == 64
    card = root / "dermoscopy" / "card.toml"
    card.write_text(card.read_text() + "# a remark\n")
    assert registry.pipeline_digest(NAME) != before


def test_every_folder_with_a_card_is_a_shipped_model_of_its_name() -> None:
    cards = {path.parent.name: read_card(path).name for path in registry.MODELS_FOLDER.glob("*/card.toml")}
    assert cards == registry.SHIPPED


@pytest.mark.parametrize("damage", ["name =", "lost"])
def test_a_damaged_card_concerns_its_own_model_alone(root: Path, damage: str) -> None:
    shutil.copytree(MODELS / "lung_histology_ct", root / "lung_histology_ct")
    path = root / "dermoscopy" / "card.toml"
    path.unlink()
    if damage != "lost":
        path.write_text(damage)
    assert registry.names() == [NAME, "lung_histology_ct"]
    assert registry.card("lung_histology_ct").name == "lung_histology_ct"
    assert registry.model_problem("lung_histology_ct") == ""
    for part in (str(path), "install the package again"):
        assert part in registry.model_problem(NAME)
    with pytest.raises(ModelError, match="install the package again"):
        registry.card(NAME)


def test_the_card_of_another_model_is_refused(root: Path) -> None:
    shutil.copyfile(MODELS / "lung_histology_ct" / "card.toml", root / "dermoscopy" / "card.toml")
    with pytest.raises(ModelError, match="is the card of lung_histology_ct"):
        registry.card(NAME)


def test_reading_the_registry_imports_no_torch() -> None:
    code = (
        "import sys; from models import registry, card, runtime; from training import commands;"
        "from models.classifier import acceptance, calibration, predictions, tiers;"
        "names = registry.names(); [registry.verify_weights(registry.folder(n)) for n in names];"
        "[registry.pipeline_digest(n) for n in names];"
        "print(sorted(m for m in ('torch', 'monai') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=registry.MODELS_FOLDER.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
