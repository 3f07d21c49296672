"""The search for costly files: mutations of files that already cost much, by processor time and memory, in all and per byte.

A file is named by its recipe: a seed file, and the numbers of the mutations that are applied to it in turn. The same recipe gives the
same file, so that the corpus (``corpus.txt``) is a list of recipes.
"""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import NodeError
from tests.fuzz.costly_datasets import file_of
from tests.fuzz.costs.growth import grow
from tests.fuzz.costs.readers import HEADER_READERS, READERS
from tests.fuzz.seed_files import Seed

CORPUS = Path(__file__).with_name("corpus.txt")
KEPT = 5  # files for each measure
MOST_STEPS = 24
PARENT_FROM_KEPT = 0.75
BETTER = 1.15  # a costlier file is kept if it costs so many times as much, in two measurements


@dataclass(frozen=True, slots=True)
class Recipe:
    """A seed file by its name, and the numbers of the mutations."""

    seed: str
    steps: tuple[int, ...] = ()

    def apply(self, seeds: Mapping[str, Seed]) -> Seed:
        """Return the file."""
        made = seeds[self.seed]
        for step in self.steps:
            made = replace(made, data_set=grow(made.data_set, made.syntax, random.Random(step)))
        return made

    def __str__(self) -> str:
        return " ".join([self.seed, *(f"{step:x}" for step in self.steps)])


@dataclass(frozen=True, slots=True)
class Cost:
    """What reading a file costs: processor time, and memory at its peak. ``defect``: an error that the node does not raise on purpose."""

    recipe: Recipe
    size_bytes: int
    seconds: float
    memory_bytes: int
    defect: str = ""

    def measures(self) -> dict[str, float]:
        """Return the measures that guide the search. Small files have no small divisor, because opening a file costs too."""
        return {
            "time": self.seconds,
            "time per byte": self.seconds / (self.size_bytes + 4096),
            "memory": float(self.memory_bytes),
            "memory per byte": self.memory_bytes / (self.size_bytes + 65536),
        }


@dataclass(slots=True)
class Search:
    """The costliest files that were found for one reader, by measure."""

    reader: str
    folder: Path
    seeds: Mapping[str, Seed]
    kept: dict[str, list[Cost]] = field(default_factory=dict)
    defects: list[Cost] = field(default_factory=list)
    repeated: bool = True  # measured again, before it is kept, and the smaller cost counts

    def try_recipe(self, recipe: Recipe) -> Cost:
        """Measure a file, and keep it if it costs more than those that are kept."""
        cost = self._measure(recipe)
        if cost.defect:
            self.defects.append(cost)
        if self._improves(cost):
            if self.repeated:
                again = self._measure(recipe)
                cost = replace(cost, seconds=min(cost.seconds, again.seconds), memory_bytes=min(cost.memory_bytes, again.memory_bytes))
            for name, value in cost.measures().items():
                best = sorted([*self.kept.get(name, []), cost], key=lambda one, name=name: -one.measures()[name])  # type: ignore[misc]
                self.kept[name] = best[:KEPT] if value else best
        return cost

    def _measure(self, recipe: Recipe) -> Cost:
        # Reading once more for the memory, which takes several times as long, only where the search is long or memory has a limit.
        memory = self.repeated or self.reader in HEADER_READERS
        return measure(READERS[self.reader], recipe, recipe.apply(self.seeds), self.folder / "input.dcm", memory=memory)

    def _improves(self, cost: Cost) -> bool:
        def limit(name: str) -> float:
            kept = self.kept.get(name, [])
            return BETTER * kept[-1].measures()[name] if len(kept) >= KEPT else -1.0

        return any(value > limit(name) for name, value in cost.measures().items())

    def run(self, rng: random.Random, count: int, most_s: float) -> int:
        """Try ``count`` mutations, most of them of files that are kept, within ``most_s`` of processor time; return how many."""
        names, began = sorted(self.seeds), time.process_time()
        for number in range(count):
            if time.process_time() - began > most_s:
                return number
            if self.kept and rng.random() < PARENT_FROM_KEPT:
                parent = rng.choice(self.kept[rng.choice(sorted(self.kept))]).recipe
            else:
                parent = Recipe(rng.choice(names))
            if len(parent.steps) < MOST_STEPS:
                self.try_recipe(replace(parent, steps=(*parent.steps, rng.getrandbits(32))))
        return count

    def worst(self, name: str) -> Cost:
        """Return the costliest file by a measure."""
        return self.kept[name][0]


def measure(reader: Callable[[Path], object], recipe: Recipe, made: Seed, path: Path, *, memory: bool = True) -> Cost:
    """Return the cost of reading a file: processor time in a first reading, with ``memory`` that of a second one, else 0."""
    path.write_bytes(file_of(made))
    began, defect = time.process_time(), ""
    try:
        reader(path)
    except NodeError:
        pass
    except Exception as error:
        defect = f"{type(error).__name__}: {error}"[:200]
    seconds = time.process_time() - began
    memory_bytes = _peak_bytes(reader, path) if memory else 0
    return Cost(recipe, path.stat().st_size, seconds, memory_bytes, defect)


def _peak_bytes(reader: Callable[[Path], object], path: Path) -> int:
    tracemalloc.start()
    try:
        reader(path)
    except Exception:  # the same as in the first reading
        pass
    finally:
        memory_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return memory_bytes


def read_corpus() -> Iterator[tuple[str, Recipe]]:
    """Yield the reader and the recipe of each line of the corpus."""
    for line in CORPUS.read_text().splitlines():
        if line and not line.startswith("#"):
            reader, seed, *steps = line.split()
            yield reader, Recipe(seed, tuple(int(step, 16) for step in steps))
