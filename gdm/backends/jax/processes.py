"""The processes of a run on JAX: who this one is, and the few things that all do together, on their hosts.

What they tell each other goes through the service by which JAX's processes find each other, not through the devices:
it does not wait for what these are doing, and float64 stays float64.
"""

from __future__ import annotations

import os
from functools import cache
from io import BytesIO
from itertools import count
from typing import Any

import jax
import numpy as np

from gdm.backends.world import Alone, World
from gdm.errors import BackendError

STALL = 30 * 60 * 1000  # milliseconds that a process waits for the others: number 0 may be writing or reading
_MOST = 1 << 22  # bytes in a message
_SLURM = "SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"
_LAUNCH = "JAX_COORDINATOR_ADDRESS=HOST:PORT JAX_NUM_PROCESSES=N JAX_PROCESS_ID=0 (to N - 1)"


def join() -> World:
    """Return the processes that were launched together, this one among them; the same object at every call.

    They are those of `jax.distributed.initialize`, which is called here, before any device is touched, if nobody has,
    and if the environment announces more than one process: by JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID, or because srun or Open MPI's mpirun started them.

    Raises: BackendError for a launch that is not complete, or is PyTorch's, or after JAX has touched its devices
    """
    if not jax.distributed.is_initialized():
        if not announced():
            _refuse_torchrun()
            return Alone()
        _initialize()
    return _processes()


def _refuse_torchrun() -> None:
    """Raise BackendError where torchrun has started several processes: each would take itself for number 0, and write."""
    size = os.environ.get("WORLD_SIZE", "1")
    if size != "1":
        raise BackendError(f"processes of jax: expected {_LAUNCH}, got torchrun's WORLD_SIZE={size}; do without it")


def announced() -> bool:
    """Tell whether the environment says that this process is one of several on JAX.

    Raises: BackendError for a number that is none
    """
    if "JAX_COORDINATOR_ADDRESS" in os.environ:
        return _number("JAX_NUM_PROCESSES") != 1
    if all(name in os.environ for name in _SLURM):
        return (_number("SLURM_STEP_NUM_TASKS") or 1) > 1  # of this srun: an allocation may have more
    return "OMPI_MCA_orte_hnp_uri" in os.environ and (_number("OMPI_COMM_WORLD_SIZE") or 1) > 1


def _initialize() -> None:
    size, rank = _number("JAX_NUM_PROCESSES"), _number("JAX_PROCESS_ID")
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM away, at which gdm saves and stops
    try:
        jax.distributed.initialize(num_processes=size, process_id=rank)
    except (ValueError, TypeError) as error:
        got = f"JAX_NUM_PROCESSES={size}, JAX_PROCESS_ID={rank}"
        raise BackendError(f"processes of jax: expected {_LAUNCH}, got {got} ({error})") from error
    except RuntimeError as error:
        remedy = "make the backend before any JAX computation, and see that the coordinator can be reached"
        raise BackendError(f"processes of jax: expected to join them, got {error}; {remedy}") from error


def _number(name: str) -> int | None:
    text = os.environ.get(name)
    if text is not None and not text.isdecimal():
        raise BackendError(f"{name}: expected a number, got {text!r}; launch with {_LAUNCH}")
    return None if text is None else int(text)


@cache
def _processes() -> World:
    return Processes() if jax.process_count() > 1 else Alone()


class Processes:
    """Several processes, of which number 0 writes; see `World`. All do the same things in the same order."""

    def __init__(self) -> None:
        from jax._src.distributed import global_state  # the one way to the service, which libraries for JAX take

        self.rank, self.size = jax.process_index(), jax.process_count()
        self._service: Any = global_state.client
        self._turns = count()
        self._old: list[str] = []  # what this process has told and may be forgotten when all meet again

    def any(self, flag: bool) -> bool:
        return bool(self._all(b"yes" if flag else None))

    def mean(self, values: np.ndarray) -> np.ndarray:
        told = self._all(_written(values))
        return np.asarray(sum(_read(told[rank]) for rank in sorted(told)) / self.size)

    def gather(self, values: np.ndarray) -> list[np.ndarray]:
        """Return the arrays of all, on number 0; in messages of a size that the service takes."""
        turn, data = next(self._turns), _written(values)
        parts = [data[start : start + _MOST] for start in range(0, len(data), _MOST)]
        if self.rank != 0:
            self._tell(f"{turn}/{self.rank}/parts", str(len(parts)).encode())
            for number, part in enumerate(parts):
                self._tell(f"{turn}/{self.rank}/{number}", part)
        others = [self._joined(f"{turn}/{rank}") for rank in range(1, self.size)] if self.rank == 0 else []
        self._meet(turn)  # nobody runs ahead and fills the memory of number 0
        return [values, *map(_read, others)] if self.rank == 0 else []

    def wait(self) -> None:
        self._meet(next(self._turns))

    def _all(self, told: bytes | None) -> dict[int, bytes]:
        """Return what every process that has something to tell tells."""
        turn = next(self._turns)
        if told is not None:
            self._tell(f"{turn}/{self.rank}", told)
        self._meet(turn)
        if told is not None:
            self._old.append(f"{turn}/{self.rank}")
        found = self._service.key_value_dir_get_bytes(f"gdm/{turn}/")
        return {int(key.rpartition("/")[2]): value for key, value in found}

    def _meet(self, turn: int) -> None:
        self._service.wait_at_barrier(f"gdm/{turn}", STALL)
        for key in self._old:  # which all have read, as they are here
            self._service.key_value_delete(f"gdm/{key}")
        self._old.clear()

    def _joined(self, key: str) -> bytes:
        found = [self._heard(f"{key}/{number}") for number in range(int(self._heard(f"{key}/parts")))]
        self._service.key_value_delete(f"gdm/{key}/")  # a folder of them
        return b"".join(found)

    def _tell(self, key: str, value: bytes) -> None:
        self._service.key_value_set_bytes(f"gdm/{key}", value)

    def _heard(self, key: str) -> bytes:
        return self._service.blocking_key_value_get_bytes(f"gdm/{key}", STALL)


def _written(values: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, np.asarray(values), allow_pickle=False)
    return file.getvalue()


def _read(told: bytes) -> np.ndarray:
    return np.load(BytesIO(told), allow_pickle=False)
