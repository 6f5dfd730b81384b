"""How fast does the engine train and generate: against a peer, the machine's peak, and as data grow.

GANAUG_DATA is not needed: the images are random. About 20 minutes on 2 cores.
    pip install --no-deps torch-mimicry
    python benchmarks/throughput.py [--parts peer peak sizes scaling generation] [--device cuda]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from common import RESULTS, keep, markdown
from mimicry import MimicryTraining, as_network
from torch.utils.flop_counter import FlopCounterMode

import ganaug
from ganaug.config import resolve_config
from ganaug.networks.resample import DownConv, UpConv, halved
from ganaug.training.batches import BalancedBatches
from ganaug.training.loop import train
from ganaug.training.state import new_state, torch_device

BATCH = 64
ROUNDS = 5
PEER_CASES = (
    (32, 64, 32, 1),
    (32, 64, 32, 5),
    (32, 128, 64, 1),
    (128, 256, 256, 1),
)  # side, ngf, ndf, D steps


def images(n: int, shape: tuple[int, ...], n_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random uint8 images (n, *shape), channels last in memory, and classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (n, *shape[1:], shape[0]), dtype=np.uint8)
    return torch.from_numpy(x).permute(0, 3, 1, 2), torch.arange(n) % n_classes


def unpack(x: torch.Tensor) -> torch.Tensor:
    """Return uint8 images as floats in [-1, 1]."""
    return x.float().div_(127.5).sub_(1)


class EngineTraining:
    """ganaug's loop on random images; only its own steps are timed."""

    def __init__(self, config: ganaug.GANConfig, *, side: int, n: int, n_classes: int, device: str):
        config = resolve_config("default", config, None, kind="image")
        self.config, self.images_seen, shape = config, 0, (3, side, side)
        x, c = images(n, shape, n_classes)
        self.state = new_state(config, shape=shape, n_classes=n_classes, seed=0, device=torch_device(device))
        self.batches = BalancedBatches(x.to(device), c, batch_size=config.batch_size, seed=0, unpack=unpack)
        self.per_round = config.batch_size * config.d_steps

    def seconds(self, n_rounds: int) -> float:
        """Return the time of `n_rounds` rounds of D and G steps, after one that is not counted."""
        times: list[float] = []
        goal = self.state.images_seen + (n_rounds + 1) * self.per_round
        train(
            self.state,
            self.batches,
            replace(self.config, train_images=goal, log_every_images=10**9),
            seed=0,
            on_log=lambda *_: None,
            on_step=lambda _: times.append(_now(self.state.logit_means.device)),
        )
        return times[-1] - times[0]


class PeerTraining(MimicryTraining):
    """mimicry's steps on the same images, as floats in memory."""

    def seconds(self, n_rounds: int) -> float:
        """Return the time of `n_rounds` rounds, after one that is not counted."""
        self.round()
        start = _now(torch.device(self.device))
        for _ in range(n_rounds):
            self.round()
        return _now(torch.device(self.device)) - start


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def alternate(arms: dict[str, Any], *, n_rounds: int) -> dict[str, list[float]]:
    """Return images/s of each arm in each of `ROUNDS` turns, after one that is not counted."""
    speeds: dict[str, list[float]] = defaultdict(list)
    for turn in range(ROUNDS + 1):
        for name, arm in arms.items():
            speed = n_rounds * arm.per_round / arm.seconds(n_rounds)
            if turn:
                speeds[name].append(speed)
    return speeds


def peer(device: str) -> Iterator[dict[str, Any]]:
    """Compare with mimicry's cGAN-PD: the same networks and widths, and ganaug's own network."""
    for side, ngf, ndf, d_steps in PEER_CASES:
        x, c = images(1000, (3, side, side), 10)
        theirs = ganaug.GANConfig(
            network=as_network(side, ndf),
            width=ngf,
            z_dim=128,
            diffaugment=(),
            d_steps=d_steps,
            regularizers=(),
        )
        arms: dict[str, Any] = {
            "mimicry": PeerTraining(
                unpack(x), c, side=side, ngf=ngf, ndf=ndf, n_classes=10, d_steps=d_steps, device=device
            )
        }
        for name, config in {
            "engine, same networks, float32": replace(theirs, precision="float32"),
            "engine, same networks": theirs,
            "engine, own default network": ganaug.GANConfig(d_steps=d_steps),
        }.items():
            arms[name] = EngineTraining(config, side=side, n=1000, n_classes=10, device=device)
        speeds = alternate(arms, n_rounds=max(2, 10 // d_steps) if side == 32 else 2)
        for name, values in speeds.items():
            ratios = [a / b for a, b in zip(values, speeds["mimicry"], strict=True)]
            yield {
                "side": side,
                "ngf/ndf": f"{ngf}/{ndf}",
                "D steps": d_steps,
                "training": name,
                "images/s": round(statistics.median(values)),
                "range": f"{min(values):.0f}-{max(values):.0f}",
                "times mimicry": round(statistics.median(ratios), 2),
            }


def machine_peak(dtype: torch.dtype, device: str) -> dict[str, float]:
    """Return the best GFLOP/s of a large matrix product and of a large convolution."""
    a, b = (torch.randn(2048, 2048, device=device).to(dtype) for _ in range(2))
    conv = torch.nn.Conv2d(128, 128, 3, padding=1, device=device, dtype=dtype)
    conv = conv.to(memory_format=torch.channels_last)
    x = torch.randn(64, 128, 32, 32, device=device, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    work = {"matmul": (lambda: a @ b, 2 * 2048**3), "conv": (lambda: conv(x), 2 * 64 * 32**2 * 128**2 * 9)}
    best = {}
    with torch.no_grad():
        for name, (call, flops) in work.items():
            seconds = []
            for _ in range(12):
                start = _now(torch.device(device))
                call()
                seconds.append(_now(torch.device(device)) - start)
            best[name] = flops / min(seconds) / 1e9
    return best


def peak(device: str) -> dict[str, Any]:
    """Return the share of the machine's peak that the default 32 px network reaches, and a profile."""
    rows = []
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        config = ganaug.GANConfig(precision=precision)
        arm = EngineTraining(config, side=32, n=1000, n_classes=10, device=device)
        arm.seconds(3)
        turns: list[dict[str, float]] = []
        for _ in range(ROUNDS):
            turn = machine_peak(dtype, device) | {"folded": 20 * BATCH / arm.seconds(20)}
            with plain_resampling():
                turns.append(turn | {"plain": 20 * BATCH / arm.seconds(20)})
        median = {k: statistics.median(t[k] for t in turns) for k in turns[0]}
        gflop = {"folded": _flops_of_a_step(arm) / BATCH / 1e9}
        with plain_resampling():
            gflop["plain"] = _flops_of_a_step(arm) / BATCH / 1e9
        for name in ("plain", "folded"):
            reached = median[name] * gflop[name]
            rows.append(
                {
                    "precision": precision,
                    "resampling": name,
                    "images/s": round(median[name]),
                    "GFLOP per image": round(gflop[name], 3),
                    "GFLOP/s": round(reached),
                    "matmul peak": round(median["matmul"]),
                    "conv peak": round(median["conv"]),
                    "share of matmul peak": round(reached / median["matmul"], 2),
                    "share of conv peak": round(reached / median["conv"], 2),
                }
            )
    return {"rows": rows, "profile": _profile(arm)}


@contextmanager
def plain_resampling() -> Iterator[None]:
    """Within the context, doubling and halving are steps of their own, as in the usual formulation."""
    folded = UpConv.forward, DownConv.forward
    UpConv.forward = lambda self, h: torch.nn.Conv2d.forward(self, F.interpolate(h, scale_factor=2.0))
    DownConv.forward = lambda self, h: halved(torch.nn.Conv2d.forward(self, h))
    try:
        yield
    finally:
        UpConv.forward, DownConv.forward = folded


def _flops_of_a_step(arm: EngineTraining) -> int:
    """Return the floating point operations of matrix products and convolutions in one round."""
    seen: list[int] = []
    with FlopCounterMode(display=False) as counter:
        train(
            arm.state,
            arm.batches,
            replace(arm.config, train_images=arm.state.images_seen + 2 * BATCH, log_every_images=10**9),
            seed=0,
            on_log=lambda *_: None,
            on_step=lambda _: seen.append(counter.get_total_flops()),
        )
    return seen[1] - seen[0]


GROUPS = {
    "convolution": ("convolution",),
    "matrix product": ("::mm", "addmm", "::bmm", "addmv", "::mv"),
    "batch norm": ("batch_norm",),
    "pooling, upsampling": ("pool", "upsample"),
    "optimiser, average": ("adam", "lerp", "foreach"),
    "copies, casts": ("copy", "::cat", "fill", "zero", "index"),
    "element-wise": (
        "clamp",
        "threshold",
        "relu",
        "::mul",
        "::add",
        "::sub",
        "::div",
        "tanh",
        "::sum",
        "::neg",
    ),
}


def _profile(arm: EngineTraining) -> list[dict[str, Any]]:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as found:
        arm.seconds(10)
    spent: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        name = event.key.lower()
        group = next((g for g, parts in GROUPS.items() if any(p in name for p in parts)), "other")
        spent[group] += event.self_cpu_time_total
    total = sum(spent.values())
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return [{"where": g, "percent": round(100 * t / total, 1)} for g, t in ranked]


def sizes(device: str) -> Iterator[dict[str, Any]]:
    """Return training speed by side and network at default settings."""
    for network in ("resnet", "dcgan", "r3gan", "style"):
        for side in (8, 28, 32, 64, 128):
            arm = EngineTraining(
                ganaug.GANConfig(network=network), side=side, n=500, n_classes=10, device=device
            )
            n = 8 if side < 64 else 1
            speeds = [n * arm.per_round / arm.seconds(n) for _ in range(3)]
            yield {"network": network, "side": side, "images/s": round(statistics.median(speeds))}


def scaling(device: str) -> Iterator[dict[str, Any]]:
    """Run each size of data in a process of its own, for its peak memory."""
    cases = [(n, 10) for n in (1_000, 10_000, 100_000, 1_000_000)]
    cases += [(100_000, k) for k in (2, 100, 1_000)]
    for turn in range(3):
        for n, n_classes in cases:
            command = [sys.executable, __file__, "--one", str(n), str(n_classes), "--device", device]
            row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            yield {"turn": turn, **row}


def one_scale(n: int, n_classes: int, device: str) -> None:
    """Print the training speed and peak memory for n rows of 28 px in so many classes."""
    config = ganaug.GANConfig(width=16)
    arm = EngineTraining(config, side=28, n=n, n_classes=n_classes, device=device)
    data_mb = _peak_mb()
    arm.seconds(3)
    speed = 40 * arm.per_round / arm.seconds(40)
    row = {"rows": n, "classes": n_classes, "images/s": speed, "MB with data": data_mb, "peak MB": _peak_mb()}
    print(json.dumps(row))


def _peak_mb() -> float:
    """Return the peak memory of this process alone; getrusage would count that of its parent too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def generation(device: str) -> dict[str, Any]:
    """Stream 100,000 samples of 32 px into a bank; report speed and how memory grows."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8), np.arange(500) % 10
    gan = ganaug.ConditionalGAN(train_images=256, device=device, random_state=0).fit(X, y)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in (10_000, 100_000):
            before, start = _peak_mb(), time.perf_counter()
            ganaug.SampleBank.from_gan(gan, n // 10, path=f"{folder}/{n}", random_state=0)
            seconds = time.perf_counter() - start
            on_disk = sum(e.stat().st_size for e in os.scandir(f"{folder}/{n}")) / 2**20
            rows.append(
                {
                    "samples": n,
                    "images/s": round(n / seconds),
                    "seconds": round(seconds, 1),
                    "MB on disk": round(on_disk),
                    "peak MB before": round(before),
                    "peak MB after": round(_peak_mb()),
                }
            )
    return {"rows": rows}


def main(parts: list[str], device: str) -> None:
    """Run the parts and keep them; a part that is not run keeps its former figures."""
    path = RESULTS / f"throughput{'-' + device if device != 'cpu' else ''}.json"
    former = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results = {k: v for k, v in former.items() if k != "machine"}
    results |= {"threads": torch.get_num_threads(), "batch_size": BATCH, "turns": ROUNDS}
    runs: dict[str, Callable[[str], Any]] = {
        "peer": lambda d: {"rows": list(peer(d))},
        "peak": peak,
        "sizes": lambda d: {"rows": list(sizes(d))},
        "scaling": lambda d: {"rows": _medians(list(scaling(d)))},
        "generation": generation,
    }
    for part in parts:
        start = time.perf_counter()
        results[part] = runs[part](device) | {"wall_seconds": round(time.perf_counter() - start)}
        results[part]["wall_seconds"] = round(time.perf_counter() - start)
        keep(path.stem, results)
        for name in ("rows", "profile"):
            if name in results[part]:
                frame = pd.DataFrame(results[part][name])
                print(part, markdown(frame.set_index(frame.columns[0])), sep="\n", flush=True)


def _medians(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frame = pd.DataFrame(rows).drop(columns="turn")
    found = frame.groupby(["rows", "classes"], sort=False).median().round().astype(int).reset_index()
    return found.to_dict("records")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    every = ["peer", "peak", "sizes", "scaling", "generation"]
    parser.add_argument("--parts", nargs="+", default=every, choices=every)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one_scale(*chosen.one, chosen.device)
    else:
        main(chosen.parts, chosen.device)
