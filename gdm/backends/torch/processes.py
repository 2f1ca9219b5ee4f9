"""The processes of a run that `torchrun` starts: who this one is, and the few things that all do together."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import numpy as np
import torch
from torch import distributed

from gdm.backends.world import Alone, World

STALL = timedelta(minutes=30)  # a process waits so long for the others: rank 0 may be writing or reading


def join() -> World:
    """Return the processes that torchrun started, this one among them; the same object's group at every call.

    NCCL talks between GPUs, gloo between CPUs and for what lies in host memory.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not distributed.is_available():
        return Alone()
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=STALL)
        atexit.register(distributed.destroy_process_group)
    return Processes()


def local_rank() -> int:
    """Return the number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


class Processes:
    """Several processes, of which number 0 writes; see `World`."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def any(self, flag: bool) -> bool:
        told = torch.tensor(float(flag))
        distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return bool(told)

    def mean(self, values: np.ndarray) -> np.ndarray:
        total = torch.tensor(values)
        distributed.all_reduce(total)
        return total.numpy() / self.size

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        parts: list[np.ndarray] | None = [values] * self.size if self.rank == 0 else None
        distributed.gather_object(values, parts)
        return parts or []

    def wait(self) -> None:
        distributed.barrier()
