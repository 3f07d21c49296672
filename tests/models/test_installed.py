"""The serving version is the one that a person activated; altered weights are refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ModelError
from core.records import RegisteredModel
from core.states import ModelOrigin, ModelState
from models import installed, registry, runtime
from tests.support.model_packages import other_version

NAME = "dermoscopy_7class"
PACKAGED = registry.pipeline_digest(NAME)
SHIPPED_CARD = registry.folder(NAME) / "card.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """node.data_dir/models with version 9.9.9 beside the packaged one."""
    installed.install_version(other_version(NAME, tmp_path / "brought"), tmp_path / "models")
    return tmp_path / "models"


def known(digest: str, state: ModelState, origin: ModelOrigin = ModelOrigin.INSTALLED, *, activated: bool = True) -> RegisteredModel:
    return RegisteredModel(NAME, "1", digest, state, origin, activated)


def test_the_packaged_version_serves_without_registry_entries(folder: Path) -> None:
    assert installed.serving_version(NAME, (), folder).digest == PACKAGED
    assert installed.serving_version(NAME, (), folder / "nowhere").origin is ModelOrigin.PACKAGE
    other = RegisteredModel("another", "1", "a" * 64, ModelState.ACTIVE, ModelOrigin.INSTALLED, True)
    assert installed.serving_version(NAME, (other,), folder).digest == PACKAGED


def test_the_active_version_serves(folder: Path) -> None:
    brought = installed.find_version(NAME, "9.9.9", folder)
    assert brought.digest not in ("", PACKAGED)
    rows = (known(PACKAGED, ModelState.STANDBY, ModelOrigin.PACKAGE), known(brought.digest, ModelState.ACTIVE))
    assert installed.serving_version(NAME, rows, folder) == brought
    assert installed.shadow_versions(NAME, rows, folder) == ()
    model = runtime.load_folder(brought.folder, device="cpu", package=brought.package)
    assert (model.identity.version, model.identity.digest) == ("9.9.9", brought.digest)


def test_a_missing_active_version_is_not_replaced_by_another(folder: Path) -> None:
    with pytest.raises(ModelError, match="is no longer on this machine"):
        installed.serving_version(NAME, (known("a" * 64, ModelState.ACTIVE),), folder)
    with pytest.raises(ModelError, match=r"no version of dermoscopy_7class is active"):
        installed.serving_version(NAME, (known(PACKAGED, ModelState.RETIRED, ModelOrigin.PACKAGE),), folder)


def test_a_new_release_replaces_the_packaged_version_of_the_old_one(folder: Path) -> None:
    before = known("a" * 64, ModelState.ACTIVE, ModelOrigin.PACKAGE)
    assert installed.serving_version(NAME, (before,), folder).digest == PACKAGED
    retired = known(PACKAGED, ModelState.RETIRED, ModelOrigin.PACKAGE)
    with pytest.raises(ModelError, match="is no longer on this machine"):
        installed.serving_version(NAME, (before, retired), folder)


def test_shadows_that_are_not_on_this_machine_are_left_out(folder: Path) -> None:
    brought = installed.find_version(NAME, "9.9.9", folder)
    rows = (known(brought.digest, ModelState.SHADOW, activated=False), known("a" * 64, ModelState.SHADOW, activated=False))
    assert installed.shadow_versions(NAME, rows, folder) == (brought,)
    assert installed.serving_version(NAME, rows, folder).digest == PACKAGED


def test_versions_are_found_by_number_or_digest(folder: Path) -> None:
    assert installed.find_version(NAME, PACKAGED[:12], folder).origin is ModelOrigin.PACKAGE
    assert installed.find_version(NAME, registry.card(NAME).version, folder).digest == PACKAGED
    with pytest.raises(ModelError, match=r"no version of dermoscopy_7class is 3\.0.*9\.9\.9"):
        installed.find_version(NAME, "3.0", folder)
    with pytest.raises(ModelError, match="no version"):
        installed.find_version(NAME, PACKAGED[:4], folder)


def test_installing_twice_is_idempotent_and_other_content_is_refused(folder: Path, tmp_path: Path) -> None:
    again = installed.install_version(tmp_path / "brought", folder)
    assert again == installed.find_version(NAME, "9.9.9", folder)
    card = tmp_path / "brought" / "card.toml"
    card.write_text(card.read_text() + "# a remark\n")
    with pytest.raises(ModelError, match=r"another .* is installed already"):
        installed.install_version(tmp_path / "brought", folder)


@pytest.mark.parametrize("place", [0, 500, -1])
def test_a_changed_byte_is_refused_on_installation_and_on_loading(folder: Path, tmp_path: Path, place: int) -> None:
    for weights in (tmp_path / "brought" / "weights.safetensors", folder / NAME / "9.9.9" / "weights.safetensors"):
        content = bytearray(weights.read_bytes())
        content[place] ^= 1
        weights.write_bytes(content)
    with pytest.raises(ModelError, match="its card expects"):
        installed.install_version(tmp_path / "brought", tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()
    brought = installed.find_version(NAME, "9.9.9", folder)
    with pytest.raises(ModelError, match="its card expects"):
        runtime.load_folder(brought.folder, device="cpu", package=brought.package)


@pytest.mark.parametrize("version", ["../up", "1 0", ".hidden", "a/b"])
def test_a_version_must_be_a_valid_folder_name(tmp_path: Path, version: str) -> None:
    with pytest.raises(ModelError, match="cannot be the name of a folder"):
        installed.install_version(other_version(NAME, tmp_path / "brought", version), tmp_path / "models")


def test_a_bundle_with_the_name_of_a_shipped_model_is_refused(tmp_path: Path) -> None:
    brought = other_version(NAME, tmp_path / "brought", network={"kind": "monai.networks.nets.DenseNet121"})
    with pytest.raises(ModelError, match="dermoscopy_7class is a shipped model, whose code does not run a MONAI bundle"):
        installed.install_version(brought, tmp_path / "models")
    assert not (tmp_path / "models").exists()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no TOML": (lambda card: card.write_text("name = "), "not TOML"),
    "no text": (lambda card: card.write_bytes(b"\xff\xfe" + card.read_bytes()), "is not UTF-8 text"),
    "nested too deep": (lambda card: card.write_text("a = " + "[" * 100_000), "not TOML"),
    "another type": (lambda card: card.write_text(card.read_text() + "\n[tiers]\nhigh = 'yes'\n"), "tiers"),
    "lost": (lambda card: card.unlink(), "cannot be read: No such file or directory"),
    "a folder": (lambda card: (card.unlink(), card.mkdir()), "cannot be read: Is a directory"),
    "of another version": (lambda card: card.write_text(card.read_text().replace("9.9.9", "9.9.8")), "is the card of"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_card_is_refused_alone_and_named(folder: Path, tmp_path: Path, damage: str) -> None:
    installed.install_version(other_version(NAME, tmp_path / "good", "9.9.10"), folder)
    lost = installed.find_version(NAME, "9.9.9", folder)
    act, says = DAMAGES[damage]
    act(lost.folder / "card.toml")
    assert [one.card.version for one in installed.versions(NAME, folder)] == [registry.card(NAME).version, "9.9.10"]
    assert NAME in installed.names(folder)
    (damaged,) = installed.damaged_versions(NAME, folder)
    assert damaged.version == "9.9.9"
    for part in (f"{lost.folder}/card.toml", says, f"remove {lost.folder}, and import the version again"):
        assert part in damaged.reason
    assert installed.serving_version(NAME, (), folder).digest == PACKAGED
    assert installed.find_version(NAME, "9.9.10", folder).card.version == "9.9.10"
    with pytest.raises(ModelError, match=r"dermoscopy_7class 9\.9\.9 cannot be used: .*card\.toml"):
        installed.find_version(NAME, "9.9.9", folder)
    with pytest.raises(ModelError, match=r"there are: .*9\.9\.10.*9\.9\.9 \(damaged\)"):
        installed.find_version(NAME, "3.0", folder)
    with pytest.raises(ModelError, match=r"the active version of dermoscopy_7class cannot be used: .*or activate another version"):
        installed.serving_version(NAME, (replace(known(lost.digest, ModelState.ACTIVE), version="9.9.9"),), folder)
    with pytest.raises(ModelError, match=r"is installed already, and is damaged.*remove .*9\.9\.9, and import the version again"):
        installed.install_version(tmp_path / "brought", folder)
    shutil.rmtree(lost.folder)
    assert installed.install_version(tmp_path / "brought", folder) == lost


def test_an_imported_model_whose_only_version_is_damaged_says_so(folder: Path) -> None:
    (folder / "brought" / "1.0").mkdir(parents=True)
    (folder / "brought" / "1.0" / "card.toml").write_text("[")
    (folder / "brought" / "notes").mkdir()
    (folder / "empty").mkdir()
    assert installed.names(folder) == sorted({"brought", *registry.names()})
    assert installed.readable_versions("brought", folder) == ()
    with pytest.raises(ModelError, match=r"no version of brought can be read: .*1\.0/card\.toml: not TOML"):
        installed.versions("brought", folder)


def test_damaged_weights_are_refused_alone_and_named(folder: Path) -> None:
    weights = folder / NAME / "9.9.9" / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    assert registry.weights_problem(registry.folder(NAME)) == ""
    for keep in (False, True):
        problem = registry.weights_problem(weights.parent, keep=keep)
        assert f"9.9.9: {weights} has sha256" in problem
        assert "remove its folder and import it again" in problem
    weights.write_bytes(content)
    assert registry.weights_problem(weights.parent, keep=True) == ""


@pytest.fixture
def damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the shipped models, with two models, of which the card of one is no TOML."""
    root = tmp_path / "package"
    for place in ("dermoscopy", "lung_histology_ct"):
        shutil.copytree(registry.MODELS_FOLDER / place, root / place)
    (root / "dermoscopy" / "card.toml").write_text("name = ")
    monkeypatch.setattr(registry, "MODELS_FOLDER", root)
    return root


def test_a_damaged_shipped_card_leaves_the_other_models_and_versions(folder: Path, damaged_package: Path) -> None:
    root = damaged_package
    assert installed.names(folder) == [NAME, "lung_histology_ct"]
    assert installed.serving_version("lung_histology_ct", (), folder).origin is ModelOrigin.PACKAGE
    assert [one.card.version for one in installed.versions(NAME, folder)] == ["9.9.9"]
    (damaged,) = installed.damaged_versions(NAME, folder)
    assert (damaged.version, damaged.origin) == ("shipped", ModelOrigin.PACKAGE)
    assert damaged.reason == f"{root}/dermoscopy/card.toml: {damaged.problem.partition(': ')[2]} (install the package again)"
    brought = installed.find_version(NAME, "9.9.9", folder)
    active = (known(PACKAGED, ModelState.STANDBY, ModelOrigin.PACKAGE), known(brought.digest, ModelState.ACTIVE))
    assert installed.serving_version(NAME, active, folder) == brought
    for registered, says in (
        ((), r"no version of dermoscopy_7class is active; the shipped one cannot be used: .*card\.toml.*install the package again"),
        ((known(PACKAGED, ModelState.ACTIVE, ModelOrigin.PACKAGE),), r"active version of .* cannot be used: .*install the package again"),
    ):
        with pytest.raises(ModelError, match=says):
            installed.serving_version(NAME, registered, folder)
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match=r"no version of dermoscopy_7class can be read: .*install the package again"):
        installed.serving_version(NAME, (), folder)
    shutil.copyfile(SHIPPED_CARD, root / "dermoscopy" / "card.toml")
    assert installed.serving_version(NAME, (), folder).digest == PACKAGED


def test_the_entry_of_a_damaged_version_is_found_without_its_card(folder: Path, damaged_package: Path) -> None:
    (folder / NAME / "9.9.9" / "card.toml").unlink()
    shipped, brought = installed.damaged_versions(NAME, folder)
    older = replace(known("b" * 64, ModelState.STANDBY, ModelOrigin.PACKAGE), version="0.1")
    current = replace(known(PACKAGED, ModelState.STANDBY, ModelOrigin.PACKAGE), version="0.2")
    entry = replace(known("a" * 64, ModelState.ACTIVE), version="9.9.9")
    rows = (older, current, entry)
    assert (shipped.entry(rows), brought.entry(rows)) == (current, entry)
    assert shipped.entry((replace(older, state=ModelState.ACTIVE), current)).version == "0.1"  # type: ignore[union-attr]
    assert brought.entry((older, current)) is None
    for wanted, found in (("9.9.9", entry), ("0.1", older), ("shipped", current), ("a" * 12, entry), ("7.7", None)):
        assert installed.registered_version(NAME, wanted, rows, folder) == found


def test_of_entries_with_one_number_the_retired_ones_are_left_out(folder: Path) -> None:
    first, second = (replace(known(letter * 64, ModelState.STANDBY), version="9.9.9") for letter in "ab")
    with pytest.raises(ModelError, match=r"more than one version of dermoscopy_7class is 9\.9\.9.*aaaaaaaaaaaa \(standby\)"):
        installed.registered_version(NAME, "9.9.9", (first, second), folder)
    retired = replace(first, state=ModelState.RETIRED)
    assert installed.registered_version(NAME, "9.9.9", (retired, second), folder) == second
    assert installed.registered_version(NAME, "9.9.9", (retired,), folder) == retired


def test_an_active_version_whose_card_was_changed_says_so(folder: Path) -> None:
    before = installed.find_version(NAME, "9.9.9", folder)
    card = before.folder / "card.toml"
    card.write_text(card.read_text() + "# a remark\n")
    active = replace(known(before.digest, ModelState.ACTIVE), version="9.9.9")
    with pytest.raises(ModelError, match=r"card of the active version .* was changed after it was activated.*put the card back"):
        installed.serving_version(NAME, (active,), folder)
