"""What a model's process runs into: no memory, no GPU memory, a call that never returns, an input that is poison."""

import random
import time

from tests.chaos.ward import Ward

WORK = ("worker.claimed", "worker.prepared", "worker.predicted", "worker.encoded")
WAIT_S = 10.0


def _once(ward: Ward, dice: random.Random, do: str) -> None:
    ward.arms.arm(dice.choice(WORK), do)
    time.sleep(WAIT_S / 5)


def out_of_memory(ward: Ward, dice: random.Random) -> None:
    """A MemoryError under a limit that is set for it."""
    _once(ward, dice, "memory")


def out_of_gpu_memory(ward: Ward, dice: random.Random) -> None:
    """torch.cuda.OutOfMemoryError where the model computes."""
    _once(ward, dice, "gpu")


def hanging(ward: Ward, dice: random.Random) -> None:
    """Until the soft time limit ends it."""
    _once(ward, dice, "hang")


def wedged(ward: Ward, dice: random.Random) -> None:
    """Until the hard time limit kills it."""
    _once(ward, dice, "wedge")


def poison(ward: Ward, study_instance_uid: str, do: str) -> None:
    """One study at which every attempt ends, "kill" or "crash", before and after its neighbours."""
    while not ward.arms.arm("worker.prepared", do, subject=study_instance_uid, always=True):
        ward.arms.disarm("worker.prepared")
    ward.poisoned.add(study_instance_uid)
    ward.count(f"poison ({do})")
