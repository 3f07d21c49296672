"""The numbered inputs of a run: first everything that is hostile by design, then as many damaged ones as were asked for."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.fuzz import datasets, streams
from tests.fuzz.mutate import damaged, elements, shuffled
from tests.fuzz.seeds import Seed, ours, real
from tests.fuzz.wire import PATIENCE_S, PAUSE_S, Ending, converse
from tests.support.real_data import data_folder


@dataclass(frozen=True, slots=True)
class Input:
    """What goes over one connection. ``well_formed``: the association keeps to the rules, only its data set does not."""

    name: str
    parts: tuple[bytes, ...]
    well_formed: bool

    def send(self, port: int) -> Ending:
        return converse(port, self.parts, PATIENCE_S if self.well_formed else PAUSE_S)


def designed() -> list[Input]:
    """Everything that is hostile by design."""
    found = [Input(seed.name, tuple(streams.whole(seed)), True) for seed in datasets.hostile()]
    return found + [Input(name, tuple(parts), False) for name, parts in streams.hostile()]


def known() -> list[Seed]:
    """What is damaged: our own, and the conformance files where they are."""
    return [*ours(), *real(data_folder())]


def inputs(seed: int, count: int) -> Iterator[Input]:
    """``count`` inputs: the designed ones, the known files as they are, then damage by dice; the same seed gives the same."""
    seeds = known()
    first = designed() + [Input(one.name, tuple(streams.whole(one)), True) for one in seeds]
    yield from first[:count]
    for number in range(len(first), count):
        yield by_dice(seeds, seed, number)


def by_dice(seeds: list[Seed], seed: int, number: int) -> Input:
    """Input ``number`` of a run, by itself."""
    dice = random.Random(f"{seed}/{number}")
    chosen = dice.choice(seeds)
    chance = dice.random()
    if chance < 0.3:
        parts = shuffled(streams.whole(renamed(chosen, number)), dice)
        return Input(f"{seed}/{number}: {chosen.name}, the stream", tuple(parts), False)
    if chance < 0.4:
        made = replace(chosen, data_set=chosen.data_set[: dice.choice((0, 200, 600))] + elements(dice))
        return Input(f"{seed}/{number}: {chosen.name}, made up", tuple(streams.whole(made)), True)
    made = replace(renamed(chosen, number), data_set=damaged(renamed(chosen, number).data_set, dice))
    return Input(f"{seed}/{number}: {chosen.name}, damaged", tuple(streams.whole(made)), True)


def renamed(seed: Seed, number: int) -> Seed:
    """With a SOP Instance UID of its own, of the same length, so that it is a new instance and not another content of a known one."""
    old = seed.sop_instance
    if len(old) < 16:
        return seed
    new = old[:-8].rstrip(".") + str(number + 10**9)[-8 - (len(old[:-8]) - len(old[:-8].rstrip("."))) :]
    new = new if len(new) == len(old) and ".0" not in new[-9:] else old
    return replace(seed, sop_instance=new, data_set=seed.data_set.replace(old.encode(), new.encode()))
