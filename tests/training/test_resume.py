"""2N steps equal N steps, another process, and N more: every tensor and every figure."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from play import digest, fresh, play, small

import ganaug
from ganaug.adversarial.regularizers import R1
from ganaug.config import GANConfig, resolve_config
from ganaug.errors import TrainingInterrupted
from ganaug.networks.conditioning import Noisy
from ganaug.training.checkpoint import load_tensors

BUDGET, STOP = 256, 176
KINDS: dict[str, GANConfig] = {
    "default": resolve_config(
        "default",
        GANConfig(train_images=BUDGET, width=4, z_dim=8, batch_size=16, log_every_images=64),
        None,
        kind="image",
    ),
    "style, growing": small(network="style-growing", conditioning="noisy", loss="logistic"),
    "relativistic": small(network="r3gan", loss="relativistic", regularizers=("r1", "r2")),
    "evolution": small(
        loss="logistic", mutations=("minimax", "heuristic", "least-squares"), conditioning="auxiliary"
    ),
    "adaptive, lecam": small(
        ada_target=0.0, ada_ramp_images=500, regularizers=("spectral-norm", "lecam", "dragan")
    ),
    "best snapshots": small(snapshot="best", lr_decay_from=0.5, d_steps=2, clip_norm=1.0),
    "transition": small(conditioning="transitional", loss="wasserstein", regularizers=("gradient-penalty",)),
}
KINDS = {name: replace(c, train_images=BUDGET, log_every_images=128) for name, c in KINDS.items()}

GOES_ON = """
import json, sys
import numpy as np
import ganaug
from ganaug.config import GANConfig, resolve_config

root = sys.argv[1]
arrays = np.load(root + "/data.npz")
for i, values in enumerate(json.load(open(root + "/configs.json"))):
    gan = ganaug.ConditionalGAN(config=GANConfig.from_dict(values), random_state=3)
    gan.fit(arrays["x"], arrays["y"], out=f"{root}/parts{i}", resume=True)
"""


def stop_here(images_seen: int) -> None:
    if images_seen >= STOP:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def runs(digits, tmp_path_factory) -> Path:
    """Return a folder with each kind, whole and in two parts of two processes."""
    root = tmp_path_factory.mktemp("runs")
    np.savez(root / "data.npz", x=digits[0], y=digits[1])
    for i, config in enumerate(KINDS.values()):
        gan = ganaug.ConditionalGAN(config=config, random_state=3)
        gan.fit(*digits, out=root / f"whole{i}")
        with pytest.raises(TrainingInterrupted):
            gan.fit(*digits, out=root / f"parts{i}", on_step=stop_here)
    (root / "configs.json").write_text(json.dumps([c.to_dict() for c in KINDS.values()]))
    subprocess.run([sys.executable, "-c", GOES_ON, str(root)], check=True)
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_two_processes_equals_a_run_in_one(runs: Path, kind: str) -> None:
    i = list(KINDS).index(kind)
    for name in (f"checkpoints/{BUDGET:09d}.safetensors", "generator.safetensors"):
        (whole, about), (parts, found) = (load_tensors(runs / f"{n}{i}" / name) for n in ("whole", "parts"))
        assert digest({n: v.float() for n, v in parts.items()}) == digest(
            {n: v.float() for n, v in whole.items()}
        )
        assert found == about
        assert len(about["history"]) == 2
    name = f"samples/{BUDGET:09d}.png"
    assert (runs / f"parts{i}" / name).read_bytes() == (runs / f"whole{i}" / name).read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_travelled_as_tensors_goes_on_the_same(kind: str) -> None:
    config = replace(KINDS[kind], precision="float32")
    half, history = play(replace(config, train_images=128))
    rest = fresh(config, seed=99)
    rest.load_tensors(half.tensors(), origin=Path("memory"))
    assert digest(rest) == digest(half)
    whole, all_lines = play(replace(config, train_images=192))
    play(replace(config, train_images=192), state=rest, history=history)
    if config.lr_decay_from == 1:  # a decay ends with the budget, which was another in the first half
        assert digest(rest) == digest(whole)
        assert history == all_lines


@pytest.mark.parametrize(
    ("changes", "by_name"),
    [
        ({"regularizers": (R1(gamma=3),)}, {"regularizers": ("r1",)}),
        ({"conditioning": Noisy(sigma=0.5)}, {"conditioning": "noisy"}),
    ],
)
def test_a_config_that_travelled_as_json_trains_the_same_weights(changes, by_name) -> None:
    config = small(**changes)
    travelled = GANConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    (state, history), (other, lines) = play(config), play(travelled)
    assert digest(state) == digest(other)
    assert history == lines
    assert digest(state) != digest(play(small(**by_name))[0])


def test_a_loaded_state_shares_nothing_with_what_it_was_loaded_from() -> None:
    config = small()
    half, _ = play(config)
    kept = {n: v.detach().clone() for n, v in half.tensors().items()}
    rest = fresh(config)
    rest.load_tensors(kept, origin=Path("memory"))
    before = digest(kept)
    play(replace(config, train_images=128), state=rest)
    assert digest(kept) == before
    assert rest.images_seen == 128
    assert all(torch.isfinite(v).all() for v in rest.tensors().values())
