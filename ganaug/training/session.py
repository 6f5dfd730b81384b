"""One call of training: signals are caught, and whatever ends it leaves a run that can go on."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from torch import Tensor

from ganaug.config import GANConfig
from ganaug.errors import TrainingInterrupted
from ganaug.training.batches import BalancedBatches
from ganaug.training.interrupt import StopSignals
from ganaug.training.loop import OnLog, train
from ganaug.training.run import RunFolder
from ganaug.training.state import GANState


def begin_or_resume(
    run: RunFolder, state: GANState, *, resume: bool, fixed_seed: bool
) -> tuple[list[dict[str, Any]], dict[str, Tensor] | None]:
    """Claim the run's folder, or load its newest checkpoint into the state of each rank.

    Returns the history so far, and the tensors of the last state in good health.
    """
    if not resume:
        state.ranks.told(lambda: run.begin(state))
        return [], None

    def restore() -> tuple[Any, ...]:
        history, sound = run.restore(state, fixed_seed=fixed_seed)
        return history, sound, {k: v.cpu() for k, v in state.tensors().items()}, run.about["seed"]

    history, sound, tensors, run.about["seed"] = state.ranks.told(restore)
    if not state.ranks.first:
        state.load_tensors(tensors, origin=run.path)
    return history, sound


def run_training(
    state: GANState,
    batches: BalancedBatches,
    config: GANConfig,
    *,
    seed: int,
    history: list[dict[str, Any]],
    run: RunFolder | None,
    on_log: OnLog,
    on_step: Callable[[int], None] | None,
    sound: dict[str, Tensor] | None,
) -> None:
    """Train; with a run folder, SIGINT and SIGTERM end it after a step with a checkpoint written."""
    try:
        with StopSignals(several=state.ranks.size > 1) if run is not None else nullcontext() as stop:
            train(
                state,
                batches,
                config,
                seed=seed,
                history=history,
                on_log=on_log,
                on_step=on_step,
                stop=stop,
                sound=sound,
            )
    except TrainingInterrupted as interruption:
        if run is None:
            raise
        state.ranks.told(lambda: run.checkpoint(state, history))
        raise TrainingInterrupted(
            f"{interruption}; the checkpoint in {run.path} goes on with resume=True (--resume)"
        ) from None
