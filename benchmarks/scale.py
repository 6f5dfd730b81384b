"""What 8 or 64 devices, 1,000 classes and 10^9 generated samples would take: a model, and what breaks.

Points are measured at 1 and 2 processes (`distributed.py` first; here sizes, generation, MLflow); the model
is fitted to them, checked at 2 processes, and carried on with the assumptions that it prints. GANAUG_DATA is
not needed. About 8 minutes on 2 quiet cores.
    python benchmarks/scale.py [--parts sizes generation shards mlflow] [--plan]
"""

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from common import RESULTS, keep
from distributed import CASES, markdown_rows
from torch.utils.flop_counter import FlopCounterMode

import ganaug
from ganaug.config import resolve_config
from ganaug.data.schema import Schema
from ganaug.experiment.mlflow_run import data_input
from ganaug.shard_bucket import shard_place
from ganaug.shard_folder import ShardFolder
from ganaug.shard_sources import SHARD_BYTES, SHARD_ROWS, BankSamples, DrawnSamples
from ganaug.training.checkpoint import save_tensors
from ganaug.training.snapshots import MAX_KEPT
from ganaug.training.state import GANState, new_state

SIZES = [(32, 3, 64, 10), (64, 3, 64, 10), (64, 3, 64, 100), (64, 3, 64, 1000), (128, 3, 64, 10)]
PRINTED = {
    "TFLOP/s of a device, bfloat16, dense": 989,
    "GB/s of a device within a machine": 450,
    "GB/s of a device between machines": 50,
}
"""Figures of a current data-centre GPU and its network, as their makers print them."""
GUESSED: dict[str, Any] = {
    "share of a device's peak that convolutions reach": 0.3,
    "ms a step at least takes (launches of kernels)": (5, 15),
    "microseconds of a step of a ring": 10,
    "devices of a machine": 8,
    "relative deviation of a step's time": 0.03,
    "MB/s that a process hashes and writes": 500,
}
"""Nobody's figures; none is measured here."""


def state_of(side: int, channels: int, width: int, n_classes: int) -> tuple[GANState, ganaug.GANConfig]:
    """Return an untrained state and its config."""
    config = resolve_config("default", ganaug.GANConfig(width=width), None, kind="image")
    state = new_state(
        config, shape=(channels, side, side), n_classes=n_classes, seed=0, device=torch.device("cpu")
    )
    return state, config


def flops_of(state: GANState, config: ganaug.GANConfig, side: int, channels: int) -> float:
    """Return floating-point operations per image of a step: G forward, D on both and back, G's own step."""
    n = 8
    z, c = torch.randn(n, config.z_dim), torch.zeros(n, dtype=torch.int64)
    x = torch.rand(2 * n, channels, side, side)
    with FlopCounterMode(display=False) as of_G:
        state.G(z, c)
    with FlopCounterMode(display=False) as of_D:
        state.D(x, c.repeat(2))
    forward_G, forward_D = of_G.get_total_flops() / n, of_D.get_total_flops() / (2 * n)
    return 3 * forward_G + 3 * 2 * forward_D + 2 * forward_D  # backward is twice forward, once to x alone


def sizes() -> dict[str, Any]:
    """Return numbers, files and work by size of image and number of classes."""
    rows = []
    for side, channels, width, n_classes in SIZES:
        state, config = state_of(side, channels, width, n_classes)
        tensors = state.tensors()
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            save_tensors(Path(folder) / "checkpoint", tensors, {})
            seconds = time.perf_counter() - begun
            size = (Path(folder) / "checkpoint").stat().st_size
        begun = time.perf_counter()
        state.digests()
        hashed = time.perf_counter() - begun
        rows.append(
            {
                "images": f"{side} px, width {width}, {n_classes} classes",
                "numbers of G": sum(p.numel() for p in state.G.parameters()),
                "numbers of D": sum(p.numel() for p in state.D.parameters()),
                "checkpoint MB": round(size / 1e6, 1),
                "with snapshots MB": round((size + MAX_KEPT * _bytes(state.G)) / 1e6, 1),
                "s to write": round(seconds, 3),
                "s to compare": round(hashed, 3),
                "GFLOP/image": round(flops_of(state, config, side, channels) / 1e9, 3),
            }
        )
    print(markdown_rows(rows))
    return {"rows": rows}


def _bytes(network: torch.nn.Module) -> int:
    return sum(v.numel() * v.element_size() for v in network.state_dict().values())


def generation() -> dict[str, Any]:
    """Return images/s and bytes of a bank of 32 px, with one and with two processes."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8), np.arange(200) % 10
    config = ganaug.GANConfig(train_images=64)
    gan = ganaug.ConditionalGAN(config=config, random_state=0, device="cpu").fit(X, y)
    torch.set_num_threads(1)
    rows = []
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            wanted, seed = gan.order(2_000, None, 0)
            samples = DrawnSamples(gan, wanted, seed=seed)
            begun = time.perf_counter()
            ShardFolder(Path(folder) / "bank", samples, "bank").write(jobs=jobs)
            seconds = time.perf_counter() - begun
            size = sum(file.stat().st_size for file in (Path(folder) / "bank").iterdir())
        rows.append(
            {
                "processes": jobs,
                "images/s": round(20_000 / seconds),
                "bytes/image": round(size / 20_000),
                "shards": len(samples.shards),
            }
        )
    print(markdown_rows(rows))
    return {"rows": rows}


def shards() -> dict[str, Any]:
    """Return the seconds that the administration of a shard takes: shards of one short row each."""
    rows = []
    for n in (500, 5_000):
        rng = np.random.default_rng(0)
        y = np.arange(n) % 10
        bank = ganaug.SampleBank(rng.random((n, 3)).astype(np.float32), y, Schema.fit(rng.random((n, 3)), y))
        with tempfile.TemporaryDirectory() as folder:
            for place in (f"{folder}/bank", f"memory://scale{n}"):
                row: dict[str, Any] = {"shards": n, "place": "memory://" if "//" in place else "folder"}
                samples = BankSamples(bank, shard_rows=1)
                for what, settings in (("write", {"of": (1, 1)}), ("check and end", {"resume": True})):
                    begun = time.perf_counter()
                    shard_place(place, samples, "bank").write(**settings)
                    row[f"ms a shard to {what}"] = 1000 * (time.perf_counter() - begun) / n
                if row["place"] == "folder":
                    begun = time.perf_counter()
                    ganaug.SampleBank.open(place, verify=False)
                    row["ms a shard to open"] = 1000 * (time.perf_counter() - begun) / n
                rows.append({k: v if isinstance(v, str | int) else round(v, 3) for k, v in row.items()})
    print(markdown_rows(rows))
    return {"rows": rows}


def mlflow_writes() -> dict[str, Any]:
    """Return the seconds that MLflow takes for the run of a cell, by its number of metrics."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("scale")
        for n in (10, 100, 1000):
            params = [mlflow.entities.Param(f"p{i}", "value") for i in range(8)]
            data = [mlflow.entities.DatasetInput(data_input("X, y", "1" * 16, {})._to_mlflow_entity())]
            metrics = [mlflow.entities.Metric(f"recall/class_{i}", 0.5, 0, 0) for i in range(n)]
            begun = time.perf_counter()
            for _ in range(10):
                run = client.create_run(experiment)
                client.log_batch(run.info.run_id, metrics=metrics)
                client.log_batch(run.info.run_id, params=params)
                client.log_inputs(run.info.run_id, datasets=data)
                client.set_terminated(run.info.run_id)
            rows.append({"metrics": n, "s a run": round((time.perf_counter() - begun) / 10, 3)})
        size = os.path.getsize(Path(folder) / "mlflow.db")
    print(markdown_rows(rows))
    return {"rows": rows, "bytes a metric": round(size / 11_100)}


def average_seconds(n: int, numbers: float, *, latency: float, per_number: float) -> float:
    """Return the seconds of an average over n processes in a ring."""
    return 2 * (n - 1) * latency + 2 * (n - 1) / n * numbers * per_number


def fit_collectives(seconds: dict[str, float]) -> tuple[float, float]:
    """Return the latency of a step of the ring, and seconds per number, of averages over two processes."""
    numbers = np.array([float(n) for n in seconds])
    measured = np.array(list(seconds.values()))
    design = np.stack([np.full_like(numbers, 2.0), numbers], axis=1) / measured[:, None]  # relative errors
    (latency, per_number), *_ = np.linalg.lstsq(design, np.ones_like(measured), rcond=None)
    return max(float(latency), 0.0), max(float(per_number), 0.0)


def slowest(n: int, deviation: float, *, draws: int = 20_000) -> float:
    """Return the mean of the slowest of n steps whose mean is 1: what all wait for."""
    sigma = math.sqrt(math.log(1 + deviation**2))
    times = np.random.default_rng(0).lognormal(-(sigma**2) / 2, sigma, (draws, n))
    return float(times.max(1).mean())


def checked(points: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the model says of two processes on this machine, beside what was measured."""
    latency, per_number = fit_collectives(points["collectives"]["seconds"])
    rows = []
    for row in points["scaling"]["rows"]:
        averages = sum(
            average_seconds(2, n, latency=latency, per_number=per_number)
            for n in (row["numbers"] / 2, row["numbers"] / 2, 100, 2)  # of D, of G, figures, a vote
        )
        step = (
            row["step ms, half batch"] * slowest(2, GUESSED["relative deviation of a step's time"])
            + 1000 * averages
        )
        batch = CASES[row["case"]][3]
        said = batch / step * 1000
        rows.append(
            {
                "case": row["case"],
                "model: images/s": round(said),
                "measured": row["2 processes"],
                "error %": round(100 * (said / row["2 processes"] - 1), 1),
            }
        )
    return rows


def devices(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return steps, speed and traffic on 1, 8 and 64 devices."""
    found = []
    for row in rows:
        for batch in (256, 4096):
            for n in (1, 8, 64):
                line = {"images": row["images"], "batch": batch, "devices": n}
                for floor in GUESSED["ms a step at least takes (launches of kernels)"]:
                    alone, _ = step_of(row, batch, 1, floor)
                    step, averages = step_of(row, batch, n, floor)
                    line |= {
                        f"step ms, {floor} at least": round(1000 * step, 2),
                        f"averaging %, {floor}": round(100 * averages / step, 1),
                        f"images/s, {floor}": round(batch / step),
                        f"efficiency %, {floor}": round(100 * alone / (n * step)),
                    }
                numbers = row["numbers of G"] + row["numbers of D"]
                line["GB sent an hour by each"] = round(8 * numbers * (n - 1) / n * 3600 / step / 1e9)
                found.append(line)
    return found


def step_of(row: dict[str, Any], batch: int, n: int, floor: float) -> tuple[float, float]:
    """Return the seconds of a step on n devices, at least `floor` ms beside averages, and of these."""
    reached = GUESSED["share of a device's peak that convolutions reach"]
    flops = PRINTED["TFLOP/s of a device, bfloat16, dense"] * 1e12 * reached
    compute = max(floor / 1000, batch / n * row["GFLOP/image"] * 1e9 / flops)
    where = "within a machine" if n <= GUESSED["devices of a machine"] else "between machines"
    averages = sum(
        average_seconds(
            n,
            m,
            latency=GUESSED["microseconds of a step of a ring"] / 1e6,
            per_number=4 / (PRINTED[f"GB/s of a device {where}"] * 1e9),
        )
        for m in (row["numbers of D"], row["numbers of G"], 100, 2)
    )
    return compute * slowest(n, GUESSED["relative deviation of a step's time"]) + averages, averages


def samples(speed: float, row_bytes: int, opening: float) -> list[dict[str, Any]]:
    """Return files, bytes and hours of banks of 32 px; a shard takes some ms to be opened."""
    found = []
    per_shard = min(SHARD_ROWS, SHARD_BYTES // 3072)
    for n in (10**6, 10**8, 10**9):
        shards = math.ceil(n / per_shard)
        hash_hours = n * row_bytes / (GUESSED["MB/s that a process hashes and writes"] * 1e6) / 3600
        found.append(
            {
                "samples": f"{n:.0e}".replace("e+0", "e"),
                "TB": round(n * row_bytes / 1e12, 3),
                "shards": shards,
                "MB of classes.npy": round(8 * n / 1e6),
                "MB of manifest": round(shards * 100 / 1e6, 1),
                "hours, 2 CPU processes": round(n / speed / 3600, 1),
                "hours, 64 at 20,000/s each": round(n / (64 * 20_000) / 3600, 2),
                "hours to hash all once": round(hash_hours, 2),
                "seconds to open": round(shards * opening / 1000, 1),
            }
        )
    return found


def comparisons(mlflow_rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what MLflow takes of a comparison of 7 arms in 20 seeds, by classes."""
    per_metric = (mlflow_rows[-1]["s a run"] - mlflow_rows[0]["s a run"]) / 990
    base = mlflow_rows[0]["s a run"] - 10 * per_metric
    return [
        {
            "classes": n,
            "runs": 140,
            "metrics": 140 * (n + 12),
            "minutes of MLflow": round(140 * (base + (n + 12) * per_metric) / 60, 1),
        }
        for n in (10, 100, 1000, 10_000)
    ]


def plan(kept: dict[str, Any]) -> dict[str, Any]:
    """Return the tables of the model."""
    points = json.loads((RESULTS / "distributed.json").read_text(encoding="utf-8"))
    speed = kept["generation"]["rows"][-1]["images/s"]
    latency, per_number = fit_collectives(points["collectives"]["seconds"])
    found = {
        "fitted": {"latency us": round(latency * 1e6, 1), "GB/s": round(4e-9 / per_number, 2)},
        "check": checked(points),
        "devices": devices(kept["sizes"]["rows"][:2]),
        "samples": samples(
            speed,
            kept["generation"]["rows"][0]["bytes/image"],
            min(row.get("ms a shard to open", math.inf) for row in kept["shards"]["rows"]),
        ),
        "comparisons": comparisons(kept["mlflow"]["rows"]),
        "printed": PRINTED,
        "guessed": GUESSED,
    }
    for name in ("check", "devices", "samples", "comparisons"):
        print(f"\n{name}\n{markdown_rows(found[name])}", flush=True)
    return found


PARTS = {"sizes": sizes, "generation": generation, "shards": shards, "mlflow": mlflow_writes}


def main() -> None:
    """Measure what was asked for, and carry the model on."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--plan", action="store_true", help="only the model, of what is kept")
    chosen = parser.parse_args()
    file = RESULTS / "scale.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    result.pop("machine", None)
    for part in () if chosen.plan else chosen.parts:
        result[part] = PARTS[part]()
        keep("scale", result)
    result["plan"] = plan(result)
    keep("scale", result)


if __name__ == "__main__":
    main()
