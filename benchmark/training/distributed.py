"""Training in several processes, one per GPU, started by `torchrun`: the rows of each, and shared values.

Torch half. Every process computes the heads, the losses and the penalty on the whole batch, from features that are
gathered, so that a penalty between images does not depend on how many processes there are. Only the passes through the
backbone are divided. Not `torch.distributed.nn.all_gather`, whose backward pass sums gradients over processes: the loss
is the same in all of them, so that sum is known without communication.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed


@dataclass(frozen=True)
class World:
    """One of `size` processes, the one with the number `rank`."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True for the one process that writes and prints."""
        return self.rank == 0

    def whole(self, count: int) -> int:
        """Return how many of `count` rows can be divided evenly."""
        return count - count % self.size

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """Return this process' share of rows that can be divided evenly."""
        return rows.tensor_split(self.size)[self.rank]

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        """Return all processes' shares in their order, with a gradient for the own one."""
        return own if self.size == 1 else _Gather.apply(own, self)  # pyright: ignore[reportReturnType]

    def collect(self, own: Any) -> list[Any]:
        """Return one object of each process."""
        if self.size == 1:
            return [own]
        answer: list[Any] = [None] * self.size
        distributed.all_gather_object(answer, own)
        return answer

    def agree(self, module: torch.nn.Module) -> None:
        """Take the leading process' weights, from which sums in another order may have led away."""
        if self.size > 1:
            for each in (*module.parameters(), *module.buffers()):
                distributed.broadcast(each.detach(), 0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, world: World) -> torch.Tensor:
        ctx.world = world
        parts = [torch.empty_like(own) for _ in range(world.size)]
        distributed.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        # Every process has the same loss over all rows; DistributedDataParallel then divides by their number.
        return ctx.world.share(grads[0]) * ctx.world.size, None


@contextmanager
def joined() -> Iterator[tuple[World, torch.device]]:
    """Give this process' place among those of `torchrun` and its device; alone without `torchrun`."""
    cuda = torch.cuda.is_available()
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(), torch.device("cuda" if cuda else "cpu")
        return
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size()), device
    finally:
        distributed.destroy_process_group()
