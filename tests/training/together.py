"""What test_ranks.py runs in two real processes; each leaves what it saw in a file of its own.

python -m torch.distributed.run --nproc-per-node 2 together.py FOLDER
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from play import fresh, play, small, two_classes

from ganaug import ConditionalGAN, GANConfig
from ganaug.errors import DataError, TrainingInterrupted
from ganaug.training import evolution, loop, steps
from ganaug.training.interrupt import StopSignals
from ganaug.training.observers import observers
from ganaug.training.ranks import Ranks, launched_fabric

PLAIN: dict[str, Any] = {"network": "r3gan", "diffaugment": ()}  # no norms, nothing drawn but z
EXACT = {
    "hinge": small(**PLAIN),
    "relativistic": small(**PLAIN, loss="relativistic", regularizers=("r1", "r2")),
    "packs": small(**PLAIN, pack=2, d_steps=2),
    "clipped": small(**PLAIN, clip_norm=0.1),
    "adaptive": small(**PLAIN | {"diffaugment": ("flip",)}, ada_target=0.9, ada_ramp_images=10**9),
    "evolution": small(
        **PLAIN,
        loss="non-saturating",
        mutations=("minimax", "heuristic", "least-squares"),
        diversity_weight=0.1,
    ),
}
"""Games whose result on two ranks is that of one."""
SHORT = {name: replace(EXACT[name], regularizers=("lecam",)) for name in ("hinge", "evolution")}
"""Games in which a forward pass more or less moves nothing."""
FAILS_AT = {"hinge": 3, "evolution": 4}
"""Which of D's forward passes fails: that of its second step; the one that judges the second child."""
LIKE = {"norms": small(network="resnet"), "table": small(network="residual-mlp", diffaugment=())}
"""Games with statistics of batches, or numbers of a rank's own: other ones than on one rank."""


class SlowToEnd:
    """A record of a training, which takes a while to close."""

    def __init__(self, folder: Path, beginning: Any):
        self.folder = folder

    def __enter__(self) -> Callable[[Any], None]:
        return lambda line: None

    def __exit__(self, *ending: Any) -> None:
        time.sleep(1)
        (self.folder / "ended").touch()


class Stop(StopSignals):
    """A signal that came to one rank."""

    def __init__(self, rank: int):
        super().__init__()
        self.received = signal.SIGTERM if rank == 1 else None


def attempt(act: Callable[[], Any]) -> dict[str, Any]:
    """Return what an error says."""
    try:
        return {"made": act()}
    except BaseException as error:
        return {"type": type(error).__name__, "text": str(error), "notes": getattr(error, "__notes__", [])}


def refuse() -> None:
    raise DataError(f"seen by {os.environ['RANK']}")


def refuse_in_own_words() -> None:
    class Own(Exception):
        """An error that no other process can read."""

    raise Own("words")


def disturbed(ranks: Ranks) -> None:
    """Train, and move a weight of D in one rank only."""
    state = fresh(EXACT["hinge"], ranks=ranks)

    def disturb(images_seen: int) -> None:
        with torch.no_grad():
            next(state.D.parameters()).add_(1e-3 * ranks.rank)

    play(EXACT["hinge"], state=state, on_step=disturb)


def short_of_memory(ranks: Ranks, config: GANConfig, *, fails_at: int) -> Any:
    """Train twice: with memory for all, and with memory that runs out once, in one rank."""
    enough, _ = play(config, state=fresh(config, ranks=ranks))
    ask, calls = steps.ask, []

    def ask_or_fail(*args: Any) -> Any:
        calls.append(1)
        if ranks.rank == 1 and len(calls) == fails_at:
            raise MemoryError
        return ask(*args)

    steps.ask = evolution.ask = ask_or_fail
    state, _ = play(config, state=fresh(config, ranks=ranks))
    steps.ask = evolution.ask = ask
    return [state.tensors(), state.n_chunks, enough.tensors()]


def stop_in_one(ranks: Ranks) -> Callable[[int], None]:
    """Return what sends a real signal to one rank in the middle of an interval."""
    return lambda images_seen: (
        os.kill(os.getpid(), signal.SIGTERM) if ranks.rank == 1 and images_seen == 16 else None
    )


def wish_in_one(ranks: Ranks) -> Callable[[Any], None]:
    """Return a callback by which one rank asks for the end."""

    def ask(_: Any) -> None:
        if ranks.rank == 1:
            raise TrainingInterrupted("enough")

    return ask


def main(folder: Path) -> None:
    fabric = launched_fabric("cpu")
    ranks = Ranks(fabric)
    seen: dict[str, Any] = {"mine": [ranks.mine(6), ranks.first, ranks.size]}

    numbers = [torch.tensor([1.0, 5.0]) * ranks.rank, torch.full((2, 1), ranks.rank, dtype=torch.float16)]
    wishes = ranks.agree(numbers, ranks.rank == 1, False)
    seen["agree"] = [*(t.tolist() for t in numbers), *wishes]
    seen["told"] = ranks.told(lambda: f"by {ranks.rank}")
    seen["refused"] = attempt(lambda: ranks.told(refuse))
    unequal = {"a": "same", "b": str(ranks.rank)}
    seen["unequal"] = attempt(lambda: ranks.require_equal(lambda: unequal, "Mend it."))
    seen["alone"] = ranks.first_then_all(lambda: [(folder / "turn").exists(), (folder / "turn").touch()][0])
    seen["unread"] = attempt(lambda: ranks.first_then_all(refuse))
    seen["not portable"] = attempt(lambda: ranks.told(refuse_in_own_words))
    seen["in first"] = ranks.in_first(lambda: f"of {ranks.rank}")

    seeds: set[int] = set()
    augment = loop.diff_augment
    loop.diff_augment = lambda x, policy, generator, p: [  # type: ignore[assignment]
        augment(x, policy, generator, p),
        seeds.add(generator.initial_seed()),
    ][0]
    for name, config in {**EXACT, **LIKE}.items():
        shape = (3,) if name == "table" else (1, 8, 8)
        state, history = play(config, shape=shape, state=fresh(config, shape=shape, ranks=ranks))
        seen[name] = [state.tensors(), history]
    seen["seeds"] = seeds
    loop.diff_augment = augment

    for name in SHORT:
        seen[f"short of memory: {name}"] = short_of_memory(ranks, SHORT[name], fails_at=FAILS_AT[name])
    seen["disturbed"] = attempt(lambda: disturbed(ranks))
    stopped = fresh(EXACT["hinge"], ranks=ranks)
    seen["stopped"] = attempt(lambda: play(EXACT["hinge"], state=stopped, stop=Stop(ranks.rank)))
    seen["stopped at"] = stopped.images_seen

    x, c = two_classes()
    X, y = x.numpy()[:, 0], c.numpy()
    fit = {"config": EXACT["hinge"], "device": "cpu"}
    other = X + 0.01 * ranks.rank
    own = {"fabric": fabric, "out": folder / f"own{ranks.rank}"}
    seen["own folders"] = attempt(lambda: ConditionalGAN(**fit, random_state=0).fit(X, y, **own))
    seen["own seeds"] = attempt(
        lambda: ConditionalGAN(**fit, random_state=ranks.rank).fit(X, y, fabric=fabric)
    )
    with observers(slow=partial(SlowToEnd, folder)):
        seen["slow"] = attempt(
            lambda: ConditionalGAN(**fit, random_state=0).fit(
                X, y, fabric=fabric, out=folder / "slow", on_step=stop_in_one(ranks)
            )
        )
    seen["slow ended"] = (folder / "ended").exists()
    seen["other data"] = attempt(lambda: ConditionalGAN(**fit, random_state=0).fit(other, y, fabric=fabric))
    gan = ConditionalGAN(**fit).fit(X, y, fabric=fabric, out=folder / "run")
    seen["fitted"] = [gan.seed_, gan.history_, gan.generate(3)[0]]
    seen["begun"] = attempt(lambda: ConditionalGAN(**fit).fit(X, y, fabric=fabric, out=folder / "run"))
    out = {"fabric": fabric, "out": folder / "stopped"}
    seen["signal"] = attempt(
        lambda: ConditionalGAN(**fit, random_state=gan.seed_).fit(X, y, **out, on_step=stop_in_one(ranks))
    )
    again = ConditionalGAN(**fit).fit(X, y, **out, resume=True)
    seen["stopped and resumed"] = all(
        torch.equal(a, b)
        for a, b in zip(gan.G_.state_dict().values(), again.G_.state_dict().values(), strict=True)
    )
    for name in ("on_step", "on_log"):
        wish: Any = {name: wish_in_one(ranks)}
        seen[f"wish {name}"] = attempt(
            lambda wish=wish, name=name: ConditionalGAN(**fit, random_state=0).fit(
                X, y, fabric=fabric, out=folder / name, **wish
            )
        )
        seen[f"wish {name}"]["there"] = len([*(folder / name / "checkpoints").glob("*.safetensors")])
    torch.save(seen, folder / f"{ranks.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
