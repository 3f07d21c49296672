"""``python -m training.dermoscopy_7class.robustness``: balanced accuracy and melanoma AUC where camera, skin or file differ."""

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from models.calibrate import softmax
from models.dermoscopy.overlay import hair_colour, hairs, ink_colour, strokes, window
from models.threads import cpu_threads
from training.dermoscopy_7class.appearance import blur, compress, shift_tone
from training.dermoscopy_7class.archives import Part, read_entries
from training.dermoscopy_7class.artefacts import add_rulers, add_vignettes
from training.dermoscopy_7class.figures import main_figures
from training.dermoscopy_7class.images import load_images
from training.dermoscopy_7class.predict import BATCH, averaged
from training.dermoscopy_7class.views import fixed_views

Distortion = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def drawn_over(images: torch.Tensor, generator: torch.Generator, *, ink: bool) -> torch.Tensor:
    """(B, 3, S, S) float 0..255, in place: hairs, or strokes of a skin marker, over every image."""
    for image in images:
        tint, opacity = (ink_colour if ink else hair_colour)(generator)
        cover = window(strokes() if ink else hairs(), images.shape[-1], generator)
        image.lerp_(tint[:, None, None].expand_as(image), cover * opacity)
    return images


def tinted(images: torch.Tensor, generator: torch.Generator, *, gains: tuple[float, float, float]) -> torch.Tensor:
    """White balance: the channels multiplied."""
    return (images * torch.tensor(gains).view(1, 3, 1, 1)).clamp(0, 255)


def at_pixels(images: torch.Tensor, generator: torch.Generator, *, side: int) -> torch.Tensor:
    """As if the photograph had ``side`` pixels."""
    small = F.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return F.interpolate(small, images.shape[-2:], mode="bilinear", align_corners=False)


DISTORTIONS: Mapping[str, Distortion] = {
    "none": lambda images, generator: images,
    "hairs": partial(drawn_over, ink=False),
    "ink": partial(drawn_over, ink=True),
    "ruler": partial(add_rulers, share=1.0),
    "vignette": partial(add_vignettes, share=1.0),
    "blur, 0.5 to 1.8 px": partial(blur, share=1.0),
    "JPEG quality 25 to 95": partial(compress, share=1.0),
    "warm light": partial(tinted, gains=(1.12, 1.0, 0.88)),
    "cold light": partial(tinted, gains=(0.88, 1.0, 1.12)),
    "skin tone and hue": partial(shift_tone, share=1.0),
    "100 px": partial(at_pixels, side=100),
    "75 px": partial(at_pixels, side=75),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder of the training")
    parser.add_argument("--cache", type=Path, help="folder of the decoded images (default: --run)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures")
    parser.add_argument("--fold", type=int, default=0, help="the fold that the training held out")
    parser.add_argument("--side", type=int, default=160, help="of the images, in pixels")
    parser.add_argument("--every", type=int, default=1, help="measure on every n-th held-out image")
    given = parser.parse_args(arguments)
    found = {}
    with cpu_threads(1), torch.inference_mode():
        images = load_images(given.data, given.cache or given.run, read_entries(given.data, given.fold))
        net, _ = averaged(given.run)
        index = images.of(Part.HELD_OUT)[:: given.every]
        for name, distortion in DISTORTIONS.items():
            generator, said = torch.Generator().manual_seed(1), []
            for start in range(0, len(index), BATCH):
                part = index[start : start + BATCH]
                upright = fixed_views(images.pixels[part], given.side, 1)[0].float()
                said.append(net(distortion(upright, generator), torch.from_numpy(images.facts[part])))
            found[name] = {"images": len(index), **main_figures(softmax(torch.cat(said).numpy()), images.labels[index])}
            print(name, found[name], flush=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
