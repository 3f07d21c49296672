"""Several single-threaded processes train one network: every few steps their weights are averaged, through files.

Local SGD (S. Stich, Local SGD converges fast and communicates little, 2019). On a shared machine two processes of one thread each beat
one process of two threads. Every process sums the same files in the same order, so all hold the same bits after an exchange.
"""

import os
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError

POLL_S = 0.05


class Exchange:
    """The meeting place of ``count`` processes in ``folder``; this one is number ``rank``."""

    def __init__(self, folder: Path, rank: int, count: int, timeout_s: float = 900.0) -> None:
        self.folder, self.rank, self.count, self.timeout_s = folder, rank, count, timeout_s
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"*-{rank}.safetensors"):
            path.unlink()

    def average(self, step: int, net: torch.nn.Module) -> None:
        """Replace the floating-point weights and buffers of ``net`` by their mean over all processes; waits for the slowest.

        Raises ModelError after ``timeout_s`` without the others: one of them has ended, and all go on from their checkpoints.
        """
        if self.count == 1:
            return
        own = self.folder / f"{step}-{self.rank}.safetensors"
        part = own.with_suffix(".part")
        mine = {name: value for name, value in net.state_dict().items() if value.dtype.is_floating_point}
        save_file({name: value.contiguous() for name, value in mine.items()}, part)
        os.replace(part, own)
        files = [self.folder / f"{step}-{rank}.safetensors" for rank in range(self.count)]
        self.wait(files)
        every = [load_file(file) for file in files]
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(sum(one[name] for one in every) / self.count)
        for path in self.folder.glob(f"*-{self.rank}.safetensors"):
            if int(path.name.split("-")[0]) < step:  # all others have read it: they have come to this exchange
                path.unlink()

    def wait(self, files: list[Path]) -> None:
        """Until all of ``files`` are there."""
        until = time.monotonic() + self.timeout_s
        while not all(file.is_file() for file in files):
            if time.monotonic() > until:
                missing = [file.name for file in files if not file.is_file()]
                raise ModelError(
                    f"waited {self.timeout_s:.0f} s for {missing}", hint="start all processes again: they go on from a common step"
                )
            time.sleep(POLL_S)
