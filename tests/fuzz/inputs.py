"""Generates the numbered inputs of a run: first those that are hostile by design, then randomly damaged ones."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tests.fuzz import hostile_datasets, hostile_streams
from tests.fuzz.mutations import mutate, mutate_stream, random_elements
from tests.fuzz.raw_association import PAUSE_S, RESPONSE_TIMEOUT_S, Response, send_parts
from tests.fuzz.seed_files import Seed, conformance_seeds, own_seeds
from tests.support.real_data import data_folder


@dataclass(frozen=True, slots=True)
class Input:
    """What is sent over one connection. ``well_formed``: the association follows the standard, only its data set does not."""

    name: str
    parts: tuple[bytes, ...]
    well_formed: bool

    def send(self, port: int) -> Response:
        """Send it to a listener; return what came back."""
        return send_parts(port, self.parts, RESPONSE_TIMEOUT_S if self.well_formed else PAUSE_S)


def designed_inputs() -> list[Input]:
    """Return all inputs that are hostile by design."""
    found = [Input(seed.name, tuple(hostile_streams.regular_stream(seed)), True) for seed in hostile_datasets.hostile_datasets()]
    return found + [Input(name, tuple(parts), False) for name, parts in hostile_streams.hostile_streams()]


def all_seeds() -> list[Seed]:
    """Return the data sets to damage: synthetic ones, and the conformance files where they exist."""
    return [*own_seeds(), *conformance_seeds(data_folder())]


def inputs(seed: int, count: int) -> Iterator[Input]:
    """Yield ``count`` inputs: the designed ones, the seeds unchanged, then random damage. The same seed gives the same inputs."""
    seeds = all_seeds()
    first = designed_inputs() + [Input(item.name, tuple(hostile_streams.regular_stream(item)), True) for item in seeds]
    yield from first[:count]
    for number in range(len(first), count):
        yield random_input(seeds, seed, number)


def random_input(seeds: list[Seed], seed: int, number: int) -> Input:
    """Return the randomly damaged input ``number`` of a run."""
    rng = random.Random(f"{seed}/{number}")
    chosen = rng.choice(seeds)
    chance = rng.random()
    if chance < 0.3:
        parts = mutate_stream(hostile_streams.regular_stream(with_new_uid(chosen, number)), rng)
        return Input(f"{seed}/{number}: {chosen.name}, the stream", tuple(parts), False)
    if chance < 0.4:
        made = replace(chosen, data_set=chosen.data_set[: rng.choice((0, 200, 600))] + random_elements(rng))
        return Input(f"{seed}/{number}: {chosen.name}, made up", tuple(hostile_streams.regular_stream(made)), True)
    made = replace(with_new_uid(chosen, number), data_set=mutate(with_new_uid(chosen, number).data_set, rng))
    return Input(f"{seed}/{number}: {chosen.name}, damaged", tuple(hostile_streams.regular_stream(made)), True)


def with_new_uid(seed: Seed, number: int) -> Seed:
    """Replace the SOP Instance UID by a new one of the same length, so that it is a new instance."""
    old = seed.sop_instance
    if len(old) < 16:
        return seed
    new = old[:-8].rstrip(".") + str(number + 10**9)[-8 - (len(old[:-8]) - len(old[:-8].rstrip("."))) :]
    new = new if len(new) == len(old) and ".0" not in new[-9:] else old
    return replace(seed, sop_instance=new, data_set=seed.data_set.replace(old.encode(), new.encode()))
