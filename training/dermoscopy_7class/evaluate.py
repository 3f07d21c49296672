"""``python -m training.dermoscopy_7class.evaluate``: measure a training on the held-out fold and on the external test."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from models.dermoscopy import split
from models.threads import cpu_threads
from training.dermoscopy_7class.archives import Part, read_entries
from training.dermoscopy_7class.figures import cross_fitted, difference, external_figures, held_out_figures
from training.dermoscopy_7class.images import Images, load_images
from training.dermoscopy_7class.predict import averaged, logits_of
from training.dermoscopy_7class.shipped import shipped_logits

SHIPPED = Path(split.__file__).parent
Logits = dict[Part, np.ndarray]  # (N, views, classes) of a part's images


def measure(logits: Logits, images: Images, views: int) -> dict[str, Any]:
    """All figures of one network in ``views`` views; the external ones under the temperature of the held-out images."""
    found: dict[str, Any] = {}
    for part, said in logits.items():
        index, mean = images.of(part), said[:, :views].mean(1)
        labels, groups = images.labels[index], images.groups[index]
        if part is Part.HELD_OUT:
            found["held out"] = held_out_figures(mean, labels, groups)
        else:
            found["external"] = external_figures(mean, labels, groups, found["held out"]["temperature"])
    return found


def compare(ours: Logits, theirs: Logits, images: Images, views: int) -> dict[str, Any]:
    """By how much ours is better on the held-out images, and on the external ones (temperatures fitted on the held-out images)."""
    index = images.of(Part.HELD_OUT)
    labels, groups = images.labels[index], images.groups[index]
    both = [cross_fitted(said[Part.HELD_OUT][:, :views].mean(1), labels, groups) for said in (ours, theirs)]
    return {"ours better by, held out": difference(both[0], both[1], labels, groups)}


def shipped(stored: Path, member: str, data: Path, images: Images, views: int) -> Logits:
    """What the shipped ``member`` says of both parts; kept in the file ``stored``, because it never changes."""
    parts = (Part.HELD_OUT, Part.EXTERNAL)
    if stored.is_file():
        with np.load(stored, allow_pickle=False) as kept:
            return {part: kept[part.name] for part in parts}
    found = {part: shipped_logits(SHIPPED, member, data, images, images.of(part), views) for part in parts}
    np.savez_compressed(stored, **{part.name: said for part, said in found.items()})  # type: ignore[arg-type]
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--run", type=Path, required=True, help="folder of the training")
    parser.add_argument("--cache", type=Path, help="folder of the decoded images (default: --run)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the figures; the logits go beside it, as .npz")
    parser.add_argument("--fold", type=int, default=0, help="the fold that the training held out")
    parser.add_argument("--side", type=int, default=160, help="of the images, in pixels")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--step", type=int, help="checkpoint (default: the newest)")
    parser.add_argument("--shipped", action="store_true", help="also the shipped network of this fold, on the same images")
    given = parser.parse_args(arguments)
    with cpu_threads(1):
        images = load_images(given.data, given.cache or given.run, read_entries(given.data, given.fold))
        net, step = averaged(given.run, given.step)
        parts = (Part.HELD_OUT, Part.EXTERNAL)
        ours = {part: logits_of(net, images, images.of(part), given.side, max(given.views)) for part in parts}
        bare = {Part.HELD_OUT: logits_of(net, images, images.of(Part.HELD_OUT), given.side, 1, with_patient=False)}
        found: dict[str, Any] = {"run": given.run.name, "step": step, "side_px": given.side}
        found |= {f"{views} views": measure(ours, images, views) for views in given.views}
        found["1 view, patient unknown"] = measure(bare, images, 1)
        kept: dict[str, Any] = {str(part): said for part, said in ours.items()}
        if given.shipped:
            member = f"fold{given.fold}"
            stored = (given.cache or given.run) / f"shipped-{member}.npz"
            theirs = shipped(stored, member, given.data, images, max(given.views))
            found |= {f"shipped {member}, {views} views": measure(theirs, images, views) for views in given.views}
            found |= {f"compared, {views} views": compare(ours, theirs, images, views) for views in given.views}
            kept |= {f"shipped {part}": said for part, said in theirs.items()}
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    np.savez_compressed(given.out.with_suffix(".npz"), **{name.replace(" ", "_"): said for name, said in kept.items()})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
