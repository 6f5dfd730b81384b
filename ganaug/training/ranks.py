"""The processes that train one G and one D together: who has which rows of a batch, and what all agree on."""

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import reduce
from typing import Any, TypeVar

import torch
from torch import Tensor

from ganaug._launch import OF_FIRST, join, world
from ganaug.errors import ConfigError, GanaugError

T = TypeVar("T")

PATIENCE = timedelta(hours=12)
"""How long the others may wait while the first rank decodes a folder, or measures, or writes."""


class Ranks:
    """One process; or, on a launched Lightning Fabric, one of several with equal parts of each batch.

    G and D are the same in all of them: gradients are averaged before each step, and so is whatever else a
    rank reads off its own part of a batch. Nothing is wrapped, so that penalties, packs and the evolution
    of G need no other code.
    """

    def __init__(self, fabric: Any = None):
        if fabric is not None and not (hasattr(fabric, "world_size") and hasattr(fabric, "broadcast")):
            raise ConfigError(f"fabric must be a launched lightning_fabric.Fabric or None; got {fabric!r}.")
        self._fabric = fabric
        self.size: int = 1 if fabric is None else fabric.world_size
        self.rank: int = 0 if fabric is None else fabric.global_rank
        if self.size > 1 and not torch.distributed.is_initialized():
            raise ConfigError(f"fabric must be launched; call its launch() in each of {self.size} processes.")

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def require_parts(self, batch_size: int, unit: int) -> None:
        """Raise ConfigError unless a batch has equal parts of at least two units of samples for all ranks."""
        if self.size > 1 and (batch_size % (self.size * unit) or batch_size < 2 * self.size * unit):
            raise ConfigError(
                f"batch_size must be a multiple of {self.size * unit}, and at least twice that, where "
                f"{self.size} processes share it; got {batch_size}. It is that of all of them together."
            )

    def mine(self, n: int) -> slice:
        """Return which of the n rows of a batch are those of this rank."""
        share = n // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, which may be of any types and devices, by their means over all ranks."""
        if self.size == 1:
            return
        dtype = reduce(torch.promote_types, (t.dtype for t in tensors))
        flat = torch.cat([t.detach().reshape(-1).to(self._fabric.device, dtype) for t in tensors])
        with _together():
            torch.distributed.all_reduce(flat)
        parts = flat.div_(self.size).split([t.numel() for t in tensors])  # no room is asked for after it
        with torch.no_grad():
            for tensor, mean in zip(tensors, parts, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def agree(self, tensors: Sequence[Tensor], *wishes: bool) -> tuple[bool, ...]:
        """Average tensors, and return for each wish whether any of the ranks has it."""
        if self.size == 1:
            return wishes
        said = torch.tensor(wishes, dtype=torch.float32)
        self.average([*tensors, said])
        return tuple((said > 0).tolist())

    def largest(self, number: int) -> int:
        """Return the largest of the ranks' numbers."""
        if self.size == 1:
            return number
        found = torch.tensor(number, device=self._fabric.device)
        with _together():
            torch.distributed.all_reduce(found, op=torch.distributed.ReduceOp.MAX)
        return int(found)

    def told(self, make: Callable[[], T]) -> T:
        """Return what the first rank makes, or raise what it raises; the others make nothing."""
        if self.size == 1:
            return make()
        made, error = None, None
        if self.first:
            try:
                made = make()
            except Exception as raised:
                error = raised
        with _together():
            made, told = self._fabric.broadcast((made, None if error is None else _portable(error)))
        if error is not None:
            raise error
        if told is not None:
            told.add_note(OF_FIRST)
            raise told
        found: T = made
        return found

    def meet(self) -> None:
        """Wait for all ranks."""
        self.told(lambda: None)

    @contextmanager
    def parting(self, *endings: type[BaseException]) -> Iterator[None]:
        """Let nobody leave by an error that all ranks raise before the first one has done with it."""
        try:
            yield
        except endings:
            self.meet()
            raise

    def in_first(self, make: Callable[[], T]) -> T | None:
        """Return what the first rank makes, which stays there; None in the others."""
        found: list[T] = []
        self.told(lambda: found.append(make()))
        return found[0] if found else None

    def first_then_all(self, make: Callable[[], T]) -> T:
        """Return what `make` makes, in the others after the first rank is done: they find what it left."""
        found = self.in_first(make)
        return make() if found is None else found

    def require_equal(self, find: Callable[[], dict[str, str]], mend: str) -> None:
        """Raise GanaugError in all ranks where one finds other values than the first."""
        if self.size == 1:
            return
        found = find()
        theirs = self.told(lambda: found)
        differing = [name for name in theirs if theirs[name] != found.get(name)]
        if any(self.agree([], bool(differing))):
            whose = (
                f"rank {self.rank} has other ones than rank 0" if differing else "one of the ranks differs"
            )
            raise GanaugError(
                f"all {self.size} processes must have the same {', '.join(differing[:3]) or 'state'}; "
                f"{whose}. {mend}"
            )


@contextmanager
def _together() -> Iterator[None]:
    """Say what it means where a call that all ranks make fails: one of them is gone."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        late = "timed out" in reason.lower() or "timeout" in reason.lower()
        what = "gave no answer in time" if late else "was lost"
        raise GanaugError(
            f"another process of this training {what} ({reason}). With a run folder, start it again with "
            "resume=True (--resume): it goes on from the last checkpoint, on any number of processes."
        ) from error


def _portable(error: Exception) -> Exception:
    """Return an error that other processes can read."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error of somebody else's makes of that
        copy = None
    return copy if isinstance(copy, Exception) else GanaugError(f"{type(error).__name__}: {error}")


def launched_fabric(device: str) -> Any:
    """Return a launched Fabric if this process is one of several that torchrun or srun started, else None.

    Raises ConfigError where Lightning Fabric is missing, or the device is that of one process.
    """
    together = world()
    if together.size == 1:
        return None
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise ConfigError(
            f"this is one of {together.size} processes, and training in several needs Lightning "
            "Fabric. Install it with pip install 'ganaug[distributed]', or start one process."
        ) from error
    kind, _, number = device.partition(":")
    if number:
        raise ConfigError(
            f"device must be a kind of device where several processes train, for each has its own; got "
            f"{device!r}. Write {kind!r}."
        )
    starters = {"torchrun": TorchElasticEnvironment, "srun": SLURMEnvironment}
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)  # else it greets on stderr
    try:
        fabric = Fabric(
            accelerator=kind,
            devices=together.n_local,
            num_nodes=together.n_nodes,
            strategy=DDPStrategy(timeout=PATIENCE),
            plugins=[starters[together.starter]()],
        )
        fabric.launch()
    except Exception as error:  # Fabric's own kinds
        raise ConfigError(
            f"{together.size} processes cannot train together on {device!r}: {error}"
        ) from error
    finally:
        log.setLevel(level)
    if (fabric.world_size, fabric.global_rank) != together[:2]:
        raise ConfigError(
            f"this must be process {together.rank} of {together.size}, as {together.starter} says; Lightning "
            f"Fabric found {fabric.global_rank} of {fabric.world_size}."
        )
    join(together.rank)
    return fabric
