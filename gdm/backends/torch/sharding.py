"""Parameters that are spread over processes (FSDP), and what reads and writes them as a whole."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from gdm.backends.torch.layers import Block


def shard(network: nn.Module) -> None:
    """Spread a network's parameters over all processes, block by block; each gathers a block when it needs it."""
    from torch.distributed.fsdp import fully_shard

    for module in network.modules():
        if isinstance(module, Block):
            fully_shard(module.shift)  # on its own: the network calls it ahead of the block
            fully_shard(module)
    fully_shard(network)


def gathered_anew(network: nn.Module) -> None:
    """Make the next call of a network gather its weights: what is in no block stays as it was at the last call."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(network, FSDPModule):
        network.reshard()


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor. If it is spread, every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own(tensor: Tensor) -> Tensor:
    """Return what of a tensor lies in this process: memory that may be written to."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def fill(tensor: Tensor, values: np.ndarray) -> None:
    """Set a tensor, spread or not, to values that every process has."""
    source = torch.tensor(values, device=tensor.device, dtype=tensor.dtype)
    if isinstance(tensor, DTensor):
        source = distribute_tensor(source, tensor.device_mesh, tensor.placements, src_data_rank=None)  # no talk
    tensor.copy_(source)
