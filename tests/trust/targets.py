"""What is opened from files that others made: how a sound one is written, opened and understood.

A format is one more entry of `TARGETS`.
"""

import hashlib
import warnings
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import mutations
import numpy as np
import pandas as pd
import typer
from hunt import Damage, Target
from PIL import Image
from sklearn.datasets import load_digits

from ganaug import ConditionalGAN, GANConfig, SampleBank, compare, load
from ganaug.cli import app
from ganaug.data.sources import open_data
from ganaug.errors import ConfigError, DataError

JSON: Damage = {**mutations.BYTES, "value changed": mutations.change_json_text}
RESEALED: Damage = {"resealed": mutations.reseal}

TINY = GANConfig(
    network="mlp",
    width=4,
    z_dim=4,
    train_images=64,
    batch_size=16,
    log_every_images=32,
    snapshot="both",
    precision="float32",
)


def digest(*values: Any) -> str:
    """Return a fingerprint of arrays, tables and plain values, with their dtypes."""
    content = hashlib.sha256()
    for value in values:
        if isinstance(value, (pd.DataFrame, pd.Series)):
            value = value.to_csv() + str(value.dtypes)
        array = np.asarray(value)
        content.update(f"{array.dtype} {array.shape}".encode())
        content.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
    return content.hexdigest()


@cache
def images() -> tuple[np.ndarray, np.ndarray]:
    pixels, y = load_digits(return_X_y=True)
    return pixels[y < 3].reshape(-1, 8, 8)[:60].astype(np.uint8), y[y < 3][:60]


@cache
def rows() -> tuple[pd.DataFrame, np.ndarray]:
    """Return a table with a column of each kind, and missing cells."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "number": rng.normal(size=60),
            "whole": rng.integers(0, 1000, 60),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], 60),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], 60), ["s", "m", "l"], ordered=True),
            "since": pd.date_range("2024-01-01", periods=60),
            "zoned": pd.date_range("2024-01-01", periods=60, tz="Europe/Berlin"),
            "flag": rng.random(60) < 0.5,
            "always": 1,
        }
    )
    X.loc[::7, ["number", "town"]] = None
    return X, np.repeat(["no", "yes"], 30)


@cache
def gan(kind: str) -> ConditionalGAN:
    X, y = images() if kind == "images" else rows()
    config = TINY if kind == "images" else TINY.from_dict({**TINY.to_dict(), "network": "residual-mlp"})
    return ConditionalGAN(config=config, random_state=0).fit(
        X, y, names=[f"class {v}" for v in sorted(set(y))]
    )


def drawn(gan: ConditionalGAN) -> list[Any]:
    """Return what a generator gives, from its last average and from its best snapshots."""
    drawings = [gan.generate(3, random_state=0, snapshot=s) for s in ("last", "best")]
    return [digest(*part) for part in drawings] + [len(gan.history_)]


def open_bank(folder: Path) -> list[Any]:
    bank = SampleBank.open(folder)
    schema = bank.schema
    values = bank.samples[:]
    shown = values if not hasattr(schema.codec, "from_numbers") else schema.codec.from_numbers(values)
    return [
        digest(shown, bank.class_indices),
        {str(k): n for k, n in bank.counts.items()},
        list(schema.names),
    ]


def without_curves() -> Any:
    """Return a context without the picture of a run, which takes most of its time."""
    return mock.patch("ganaug.training.run.draw_curves", lambda _, file: Path(file).touch())


def start_run(folder: Path) -> None:
    """Leave a run as a kill after its second checkpoint leaves it."""
    with without_curves():
        ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=folder)
    for name in ("generator.safetensors", "curves.png"):
        (folder / name).unlink()
    (folder / "checkpoints" / "000000064.safetensors").unlink()


def finish_run(folder: Path) -> list[Any]:
    with without_curves():
        return drawn(ConditionalGAN(config=TINY, random_state=0).fit(*images(), out=folder, resume=True))


COMPARISON: dict[str, Any] = {
    "classifier": "logistic",
    "arms": ["nothing", "gan"],
    "seeds": 3,
    "labelled_per_class": 5,
    "config": TINY,
    "random_state": 0,
}


def start_comparison(folder: Path) -> None:
    compare(*images(), **COMPARISON, out=folder)


def finish_comparison(folder: Path) -> list[str]:
    cells = compare(*images(), **COMPARISON, out=folder, resume=True).cells
    return [digest(c.arm, c.seed, c.n_train, c.n_extra, c.y_true, c.y_pred, c.y_score) for c in cells]


def write_npz(path: Path) -> None:
    X, y = images()
    np.savez_compressed(path / "d.npz", x=X, y=y, classes=np.array(["no", "one", "two"]))


def write_csv(path: Path) -> None:
    X, y = rows()
    X.assign(target=y).to_csv(path / "d.csv", index=False)


def write_images(folder: Path, suffix: str) -> None:
    for i, (image, label) in enumerate(zip(images()[0][:4], [0, 0, 1, 1], strict=True)):
        (folder / f"class {label}").mkdir(exist_ok=True)
        shown = Image.fromarray((image * 15).repeat(2, 0).repeat(2, 1))
        shown.save(folder / f"class {label}" / f"{i}{suffix}")


def write_options(folder: Path) -> None:
    """Write a file as `ganaug fit` leaves it in its run folder."""
    (folder / "run.yaml").write_text(
        "# ganaug 0.1.0\ncommand: fit\ndata: digits\nout: runs/a\npreset: quick\ntrain-images: 1000\n"
        "seed: 3\ndevice: cpu\ntrack: true\nholdout: 0.25\nmax-minutes: 1.5\ntarget: 'the class'\n"
        "gan:\n  loss: wasserstein\n  z_dim: 16\n  regularizers: [r1, lecam]\n  lr_G: 1e-3\n"
    )


def read_options(folder: Path) -> str:
    """Return the options that `ganaug fit` would run with."""
    command: Any = typer.main.get_command(app)
    given = ["digits", "--out", "runs/b", "--config", str(folder / "run.yaml")]
    with command.make_context("ganaug", ["fit"], resilient_parsing=True) as above:
        return repr(command.commands["fit"].make_context("fit", given, parent=above).params)


def open_source(path: Path) -> str:
    source = open_data(path)
    return digest(source.X, source.y, list(source.class_names or ()))


TARGETS: dict[str, Target] = {
    "generator": Target(
        make=lambda folder: gan("images").save(folder), open=lambda folder: drawn(load(folder)), sealed=True
    ),
    "generator, sealed again": Target(
        make=lambda folder: gan("images").save(folder),
        open=lambda folder: drawn(load(folder)),
        damage=RESEALED,
    ),
    "generator of a table, sealed again": Target(
        make=lambda folder: gan("rows").save(folder),
        open=lambda folder: drawn(load(folder)),
        damage=RESEALED,
        cost=3,
    ),
    "run": Target(make=start_run, open=finish_run, files="checkpoints/*", sealed=True, cost=20),
    "run, sealed again": Target(
        make=start_run, open=finish_run, files="checkpoints/*", damage=RESEALED, cost=20
    ),
    "bank": Target(
        make=lambda folder: SampleBank.from_gan(gan("images"), 4, path=folder, random_state=0, shard_rows=5),
        open=open_bank,
        files="*.npy",
        sealed=True,
    ),
    "bank, its manifest": Target(
        make=lambda folder: SampleBank.from_gan(gan("images"), 4, path=folder, random_state=0),
        open=open_bank,
        files="*.json",
        damage=JSON,
    ),
    "bank of a table, its manifest": Target(
        make=lambda folder: SampleBank.from_gan(gan("rows"), 4, path=folder, random_state=0),
        open=open_bank,
        files="*.json",
        damage=JSON,
    ),
    "comparison": Target(
        make=start_comparison,
        open=finish_comparison,
        files="*s/**/*.safetensors",
        sealed=True,
        cost=20,
    ),
    "comparison, sealed again": Target(
        make=start_comparison,
        open=finish_comparison,
        files="*s/**/*.safetensors",
        damage=RESEALED,
        cost=20,
    ),
    "comparison, its settings": Target(
        make=start_comparison,
        open=finish_comparison,
        files="**/*.json",
        damage=JSON,
        cost=20,
    ),
    "options": Target(make=write_options, open=read_options, errors=(ConfigError,)),
    "npz": Target(make=write_npz, open=lambda folder: open_source(folder / "d.npz"), errors=(DataError,)),
    "csv": Target(make=write_csv, open=lambda folder: open_source(folder / "d.csv"), errors=(DataError,)),
    "folder of png": Target(
        make=lambda folder: write_images(folder, ".png"), open=open_source, errors=(DataError,), files="*/*"
    ),
    "folder of jpeg": Target(
        make=lambda folder: write_images(folder, ".jpg"), open=open_source, errors=(DataError,), files="*/*"
    ),
}
"""Every kind of file that is opened, by name."""

warnings.filterwarnings("ignore")
