"""No file, found by a search for costly ones, makes a role work for long or use much memory.

``FUZZ_SEED`` and ``FUZZ_INPUTS`` select another or a longer search: ``make fuzz SEED=7 N=10000``. Its last lines are the worst case of
each reader. ``FUZZ_CORPUS=1`` writes what was found into ``corpus.txt``, which every run reads first.
"""

import os
import random
from pathlib import Path

import pytest

from tests.bench.paired_runs import markdown_table
from tests.fuzz.costs.readers import HEADER_READERS, READERS
from tests.fuzz.costs.search import CORPUS, Recipe, Search, read_corpus
from tests.fuzz.inputs import all_seeds
from tests.fuzz.seed_files import Seed, own_seeds

SEED = int(os.environ.get("FUZZ_SEED", "1"))
INPUTS = int(os.environ.get("FUZZ_INPUTS", "240"))
LONG = INPUTS >= 1000
COUNT = INPUTS // (5 if LONG else 50)  # mutations for each reader
SEARCH_S = 20.0 if LONG else 0.5  # of processor time for each reader, even where there are more
MOST_SECONDS = 5.0  # of processor time: the rule for the time from the last byte to the answer
MOST_MEMORY_BYTES = 64 << 20  # beyond the size of the file
MEASURES = ("time", "time per byte", "memory", "memory per byte")


@pytest.fixture(scope="module")
def seeds() -> dict[str, Seed]:
    """The synthetic files for short runs; also the conformance files, which need the data folder, for long ones."""
    return {seed.name.replace(" ", "_"): seed for seed in (all_seeds() if LONG else own_seeds())}


@pytest.mark.timeout(7200)
def test_the_costliest_files_are_within_the_rule(seeds: dict[str, Seed], tmp_path: Path) -> None:
    tried: dict[str, int] = {}
    searches = {reader: Search(reader, tmp_path, seeds, repeated=LONG) for reader in READERS}
    for reader, recipe in read_corpus():
        if recipe.seed in seeds:
            searches[reader].try_recipe(recipe)
    for reader, search in searches.items():
        search.try_recipe(Recipe("ct-explicit" if "ct-explicit" in seeds else sorted(seeds)[0]))
        tried[reader] = search.run(random.Random(f"{SEED}/{reader}"), COUNT, SEARCH_S)
    print(f"\nseed {SEED}: {sum(tried.values())} mutations, guided by processor time and memory; the worst case of each reader:")
    print(report(searches, tried))
    if os.environ.get("FUZZ_CORPUS"):
        write_corpus(searches, {seed.name.replace(" ", "_") for seed in own_seeds()})
    assert [cost for search in searches.values() for cost in search.defects] == []
    for reader, search in searches.items():
        assert search.worst("time").seconds <= MOST_SECONDS, (reader, str(search.worst("time").recipe))
        if reader in HEADER_READERS:
            heavy = search.worst("memory")
            assert heavy.memory_bytes <= heavy.size_bytes + MOST_MEMORY_BYTES, (reader, str(heavy.recipe))


def report(searches: dict[str, Search], tried: dict[str, int]) -> str:
    """The worst case of each reader."""
    rows = []
    for reader, search in searches.items():
        slow, heavy = search.worst("time"), search.worst("memory")
        dense = search.worst("time per byte")
        rows.append(
            [
                reader,
                str(tried[reader]),
                f"{slow.seconds * 1000:.0f} ms, {slow.size_bytes / 1000:.0f} kB",
                f"{dense.seconds * 1e6 / dense.size_bytes * 1.024:.0f} ms, {dense.size_bytes / 1000:.0f} kB",
                f"{heavy.memory_bytes / (1 << 20):.1f} MiB, {heavy.size_bytes / 1000:.0f} kB",
                f"{slow.recipe.seed}, {len(slow.recipe.steps)} mutations",
            ]
        )
    head = ["reader", "mutations", "most processor time, of a file of", "most per KiB, of", "most memory, of", "the slowest file"]
    return markdown_table(head, rows)


def write_corpus(searches: dict[str, Search], names: set[str]) -> None:
    """Write the costliest file by each measure that is made of a synthetic seed."""
    lines = [
        f"{reader} {cost.recipe}"
        for reader, search in searches.items()
        for measure in MEASURES
        for cost in [one for one in search.kept[measure] if one.recipe.seed in names][:1]
    ]
    head = "# reader, seed file, numbers of the mutations: written by FUZZ_CORPUS=1 make fuzz"
    CORPUS.write_text("\n".join([head, *dict.fromkeys(lines)]) + "\n")
