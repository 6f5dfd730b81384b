"""Out of memory: the same step again in smaller pieces, and the run goes on."""

from collections.abc import Callable

import pytest
import torch
from play import fresh, play, small
from torch import Tensor, nn

from ganaug.training.memory import is_out_of_memory

BATCH = 16


def room_for(module: nn.Module, n: int, error: Callable[[], Exception], *, when=lambda: True) -> list[int]:
    """Let a module run out of memory for more than n samples at a time; return the sizes it was given."""
    sizes, forward = [], module.forward

    def limited(x: Tensor, c: Tensor) -> Tensor:
        sizes.append(len(x))
        if len(x) > n and when():
            raise error()
        return forward(x, c)

    module.forward = limited
    return sizes


def on_the_gpu() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def on_the_host() -> Exception:
    return RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


KINDS = {
    "mlp": {},
    "resnet": {"network": "resnet"},
    "style": {"network": "style"},
    "two D steps": {"d_steps": 2, "train_images": 128, "log_every_images": 64},
    "evolution": {"loss": "logistic", "mutations": ("minimax", "heuristic", "least-squares")},
}


ERRORS = (on_the_gpu, on_the_host, MemoryError)
SHORT = [(kind, MemoryError) for kind in KINDS] + [("mlp", error) for error in ERRORS[:2]]
LONG = [
    pytest.param(kind, error, marks=pytest.mark.slow)
    for kind in KINDS
    for error in ERRORS
    if (kind, error) not in SHORT
]


@pytest.mark.parametrize(("kind", "error"), [*SHORT, *LONG])
def test_a_d_that_has_room_for_a_quarter_is_asked_in_quarters_and_the_run_goes_on(kind, error) -> None:
    config = small(**KINDS[kind])
    state = fresh(config)
    sizes = room_for(state.D, 2 * BATCH // 4, error)
    _, history = play(config, state=state)
    assert state.n_chunks == 4
    assert sizes[:2] == [2 * BATCH, BATCH]
    assert max(sizes[2:]) == 2 * BATCH // 4
    assert state.images_seen == config.train_images
    assert [line["health"] for line in history] == ["short of memory: batches cut into 4"] * 2
    assert all(torch.isfinite(p).all() for p in (*state.G.parameters(), *state.D.parameters()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_g_that_has_room_for_a_quarter_draws_in_quarters(kind: str) -> None:
    config = small(**KINDS[kind])
    state = fresh(config)
    sizes = room_for(state.G, BATCH // 4, on_the_gpu)
    play(config, state=state)
    assert state.n_chunks == 4
    assert max(sizes[2:]) == BATCH // 4


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_runs_out_while_g_learns_is_saved_there(kind: str) -> None:
    config = small(**KINDS[kind])
    state = fresh(config)
    room_for(state.D, BATCH // 4, on_the_gpu, when=lambda: not state.D.training)
    play(config, state=state)
    assert state.n_chunks == (8 if kind == "evolution" else 4)  # children are judged on real and fake
    assert state.images_seen == config.train_images


def test_a_step_cut_in_pieces_still_learns() -> None:
    config = small(width=16, train_images=1600, log_every_images=1600, ema_halflife_images=200)
    state = fresh(config)
    room_for(state.D, 16, on_the_gpu)  # of the 32 samples of a D step
    play(config, state=state)
    z = torch.randn(100, 8, generator=torch.Generator().manual_seed(5))
    dark, bright = (state.G_ema(z, torch.full((100,), k)).mean() for k in (0, 1))
    assert bright - dark > 0.2


def test_another_error_passes_through_and_nothing_is_cut() -> None:
    state = fresh(small())
    room_for(state.D, 1, lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        play(small(), state=state)
    assert state.n_chunks == 1


def test_a_machine_without_room_for_one_sample_says_so() -> None:
    state = fresh(small(batch_size=4))
    room_for(state.D, 0, on_the_gpu)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        play(small(batch_size=4), state=state)


def test_what_is_out_of_memory_and_what_is_not() -> None:
    assert all(is_out_of_memory(e()) for e in (on_the_gpu, on_the_host, MemoryError))
    assert not is_out_of_memory(RuntimeError("illegal memory access"))
