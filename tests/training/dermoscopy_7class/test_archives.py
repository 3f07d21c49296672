"""What is learned, held out and external; and that an archive tells nothing of the class."""

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ModelError
from models.dermoscopy.data import CLASSES, COARSE_ARCHIVE, FINE_ARCHIVE, Row
from models.dermoscopy.patient import FACTS
from tests.support.ham import make_ham
from tests.support.isic import make_isic
from training.dermoscopy_7class.archives import ARCHIVES, ISIC_ARCHIVE, Entry, Part, check_disjoint, read_entries
from training.dermoscopy_7class.images import STORED_PX, Images, load_images
from training.dermoscopy_7class.sampling import ABSENT, adjusted_loss, sampling


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_isic(make_ham(tmp_path_factory.mktemp("data")))


def test_the_external_part_is_never_learned_whatever_the_fold(data: Path) -> None:
    for fold in range(5):
        entries = read_entries(data, fold)
        external = {entry.row.image_id for entry in entries if entry.part is Part.EXTERNAL}
        assert external == {f"ISIC_{number:07d}" for number in range(12, 18)}  # the challenge's test part, the last six
        held = {entry.row.lesion_id for entry in entries if entry.part is Part.HELD_OUT}
        learned = {entry.row.lesion_id for entry in entries if entry.part is Part.LEARNED}
        assert held
        assert not held & learned
        assert {entry.row.archive for entry in entries if entry.part is Part.HELD_OUT} == {FINE_ARCHIVE}


def test_only_learned_images_are_drawn(data: Path, tmp_path: Path) -> None:
    images = load_images(data, tmp_path, read_entries(data, 0), report=lambda _: None)
    drawn = sampling(images, 0.5)
    assert {images.entries[i].part for i in drawn.index} == {Part.LEARNED}
    assert drawn.chance.sum() == pytest.approx(1)
    assert images.pixels.shape == (len(images.entries), STORED_PX, STORED_PX, 3)
    again = load_images(data, tmp_path, read_entries(data, 1), report=pytest.fail)  # another fold: the same pixels
    assert np.array_equal(again.pixels, images.pixels)


def test_a_lesion_in_two_parts_is_an_error() -> None:
    entries = [Entry(Row(f"IMG_{n}", FINE_ARCHIVE, "L1", "nv"), part) for n, part in enumerate((Part.LEARNED, Part.HELD_OUT))]
    with pytest.raises(ModelError, match="lesion L1"):
        check_disjoint(entries)


def lopsided() -> Images:
    """Three archives of other mixtures of classes, as found: 400 images without pixels."""
    rng = np.random.default_rng(1)
    archive = rng.integers(0, 3, 400)
    mixtures = [rng.choice(classes, 400) for classes in ([4, 5, 5, 5, 0, 1, 2, 3, 6], [4, 4, 5, 2], [2, 4, 5, 5])]
    labels = np.choose(archive, mixtures)
    names = (FINE_ARCHIVE, COARSE_ARCHIVE, ISIC_ARCHIVE)
    entries = tuple(Entry(Row(f"I{n}", names[archive[n]], f"L{n}", CLASSES[labels[n]]), Part.LEARNED) for n in range(400))
    assert names == ARCHIVES
    pixels = np.zeros((400, 1, 1, 3), np.uint8)
    return Images(
        entries, pixels, labels, archive, np.zeros((400, FACTS), np.float32), np.array([entry.row.lesion_id for entry in entries])
    )


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_nothing_is_gained_by_recognising_the_archive(power: float) -> None:
    """A network that sees only the archive has its least loss where it says nothing: the expected gradient at equal logits is 0."""
    images = lopsided()
    drawn = sampling(images, power)
    said = torch.zeros(len(ARCHIVES), len(CLASSES), requires_grad=True)  # one row of logits for each archive
    labels, archive = torch.from_numpy(images.labels[drawn.index]), torch.from_numpy(images.archive[drawn.index])
    losses = torch.stack(
        [adjusted_loss(said[a][None], y[None], drawn.log_prior[a][None], 0.0) for a, y in zip(archive, labels, strict=True)]
    )
    (losses * torch.from_numpy(drawn.chance).float()).sum().backward()  # type: ignore[no-untyped-call]
    assert said.grad is not None
    assert float(said.grad.abs().max()) < 1e-6
    # without the archives' own shares the same network would learn them
    flat = drawn.log_prior.exp().mean(0).log().expand_as(drawn.log_prior)
    said.grad = None
    wrong = torch.stack([adjusted_loss(said[a][None], y[None], flat[a][None], 0.0) for a, y in zip(archive, labels, strict=True)])
    (wrong * torch.from_numpy(drawn.chance).float()).sum().backward()  # type: ignore[no-untyped-call]
    assert float(said.grad.abs().max()) > 1e-3


def test_a_class_that_an_archive_has_not_gets_no_gradient_from_it() -> None:
    drawn = sampling(lopsided(), 0.5)
    isic, absent = drawn.log_prior[ARCHIVES.index(ISIC_ARCHIVE)], [CLASSES.index(name) for name in ("akiec", "bcc", "df", "vasc")]
    assert (isic[absent] == ABSENT).all()
    logits = torch.randn(4, len(CLASSES), requires_grad=True)
    adjusted_loss(logits, torch.tensor([2, 4, 5, 4]), isic.expand(4, -1), 0.1).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad[:, absent] == 0).all()
    assert (logits.grad[:, [2, 4, 5]] != 0).all()
