"""Out of memory: halve the pieces a batch is computed in, and try the same step again."""

import functools
import gc
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from ganaug.training.state import GANState

P = ParamSpec("P")
R = TypeVar("R")


def with_less_memory(step: Callable[P, R]) -> Callable[P, R]:
    """Wrap a step(state, *tensors, ...) that cuts its batch into `state.n_chunks` pieces.

    Gradients of the pieces add up to that of the batch, so that only batch statistics notice.
    """

    @functools.wraps(step)
    def patient(*args: P.args, **kwargs: P.kwargs) -> R:
        state: Any = args[0]
        tensors = [a for a in args[1:] if isinstance(a, Tensor)]
        while True:
            try:
                return step(*args, **kwargs)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or state.n_chunks >= len(tensors[0]):
                    raise
            _release(state, tensors)
            state.n_chunks *= 2

    return patient


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on a GPU or on the host."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def _release(state: GANState, tensors: list[Tensor]) -> None:
    for tensor in tensors:
        if tensor.grad_fn is not None:
            tensor.detach_()
    state.opt_G.zero_grad(set_to_none=True)
    state.opt_D.zero_grad(set_to_none=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
