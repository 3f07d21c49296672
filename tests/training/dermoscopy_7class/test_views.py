"""Random views: what varies, and that the same draw gives the same view."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.synthetic.lesion import make_lesion
from training.dermoscopy_7class import appearance, artefacts
from training.dermoscopy_7class.robustness import DISTORTIONS
from training.dermoscopy_7class.views import fixed_views, place, random_views

Change = Callable[[torch.Tensor, torch.Generator, float], torch.Tensor]


def lesions() -> torch.Tensor:
    squares = [np.asarray(Image.open(BytesIO(make_lesion(n, size=(96, 96)).jpeg)).convert("RGB")) for n in range(4)]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float()


@pytest.mark.parametrize(
    "change",
    [
        appearance.shift_tone,
        appearance.reduce_resolution,
        appearance.blur,
        appearance.compress,
        artefacts.add_rulers,
        artefacts.add_vignettes,
    ],
)
def test_a_change_touches_its_share_and_keeps_the_range(change: Change) -> None:
    images = lesions()
    all_changed = change(images.clone(), torch.Generator().manual_seed(5), 1.0)
    assert all_changed.shape == images.shape
    assert float(all_changed.min()) >= 0
    assert float(all_changed.max()) <= 255.01
    assert all(not one.allclose(other, atol=0.5) for one, other in zip(all_changed, images, strict=True))
    none = change(images.clone(), torch.Generator().manual_seed(5), 0.0)
    torch.testing.assert_close(none, images, rtol=0, atol=0.05)
    assert all_changed.equal(change(images.clone(), torch.Generator().manual_seed(5), 1.0))


def test_darker_skin_loses_more_blue_than_red() -> None:
    light = torch.tensor([224.0, 172.0, 150.0]).view(1, 3, 1, 1).expand(64, 3, 4, 4)
    toned = appearance.shift_tone(light, torch.Generator().manual_seed(1), 1.0)[:, :, 0, 0] / light[:, :, 0, 0]
    darker = toned[toned.mean(1) < 0.8]
    assert len(darker) > 10
    assert float((darker[:, 0] - darker[:, 2]).mean()) > 0.1


def test_random_views_differ_and_are_repeated_by_the_same_seed() -> None:
    pixels = lesions().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    views = [random_views(pixels, 64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert views[0].shape == (4, 3, 64, 64)
    assert views[0].equal(views[1])
    assert not views[0].equal(views[2])


def test_a_view_shows_the_middle_of_the_image() -> None:
    """A bright disc in the middle stays in the view, whatever the zoom and shift."""
    image = torch.zeros(64, 3, 80, 80)
    image[:, :, 30:50, 30:50] = 255
    assert float(place(image, 64, torch.Generator().manual_seed(2)).amax((1, 2, 3)).min()) > 254.9


def test_fixed_views_begin_upright() -> None:
    pixels = lesions().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    views = fixed_views(pixels, 96, 4)
    assert np.array_equal(views[0].permute(0, 2, 3, 1).numpy(), pixels)
    assert views[1].equal(views[0].flip(3))
    assert len(views) == 4


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_every_distortion_but_none_changes_the_image(name: str) -> None:
    images = lesions()
    distorted = DISTORTIONS[name](images.clone(), torch.Generator().manual_seed(1))
    assert distorted.shape == images.shape
    assert 0 <= float(distorted.min()) <= float(distorted.max()) <= 255.01
    assert distorted.allclose(images) is (name == "none")
