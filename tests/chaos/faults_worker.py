"""Faults of the process that runs a model: no memory, no GPU memory, a call that never returns, an input that kills it."""

import random
import time

from tests.chaos.node_under_test import NodeUnderTest

FAILPOINTS = ("worker.claimed", "worker.prepared", "worker.predicted", "worker.encoded")
WAIT_S = 10.0


def _inject(target: NodeUnderTest, rng: random.Random, fault: str) -> None:
    target.failpoints.arm(rng.choice(FAILPOINTS), fault)
    time.sleep(WAIT_S / 5)


def exhaust_memory(target: NodeUnderTest, rng: random.Random) -> None:
    """Raise MemoryError, by a limit on the memory of the process."""
    _inject(target, rng, "memory")


def exhaust_gpu_memory(target: NodeUnderTest, rng: random.Random) -> None:
    """Raise torch.cuda.OutOfMemoryError."""
    _inject(target, rng, "gpu")


def hang(target: NodeUnderTest, rng: random.Random) -> None:
    """Hang until the soft time limit."""
    _inject(target, rng, "hang")


def hang_ignoring_signals(target: NodeUnderTest, rng: random.Random) -> None:
    """Hang until the hard time limit, ignoring the soft one."""
    _inject(target, rng, "wedge")


def add_killer_input(target: NodeUnderTest, study_instance_uid: str, fault: str) -> None:
    """Make every attempt at one study end by ``fault``: "kill" or "crash"."""
    while not target.failpoints.arm("worker.prepared", fault, subject=study_instance_uid, always=True):
        target.failpoints.disarm("worker.prepared")
    target.killer_inputs.add(study_instance_uid)
    target.count(f"killer input ({fault})")
