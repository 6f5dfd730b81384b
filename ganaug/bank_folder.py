"""A bank on disk: numbered .npy files of samples, their class indices, and a manifest."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ganaug._checks import listed, number, read_json, reading
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError
from ganaug.shards import Rows, Shards, ShardWriter, map_npy, pieces

FORMAT = 2
READABLE = (1, 2)
MANIFEST, CLASSES, SHARD = "manifest.json", "classes.npy", "samples-{:05d}.npy"
SHARD_BYTES = 256_000_000

OnProgress = Callable[[int, int], None]


def write_bank(
    folder: Path,
    schema: Schema,
    rows: Iterable[tuple[Rows, Rows]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    shard_rows: int | None,
    on_progress: OnProgress | None = None,
) -> None:
    """Write samples of the shape (n, ...) that come in pieces, with their class indices, to a new folder."""
    n, row_bytes = shape[0], dtype.itemsize * math.prod(shape[1:])
    _require_free(folder, n * (row_bytes + np.dtype(np.int64).itemsize))
    if shard_rows is None:
        shard_rows = max(1, SHARD_BYTES // max(1, row_bytes))
    number("shard_rows", shard_rows, low=1, integer=True)
    found = np.zeros(len(schema.labels), np.int64)
    with whole_folder(folder) as unfinished:
        with (
            ShardWriter(unfinished, SHARD, shape, dtype, shard_rows=shard_rows) as samples,
            ShardWriter(unfinished, CLASSES, (n,), np.int64, shard_rows=max(1, n)) as classes,
        ):
            for X, c in rows:
                samples.write(X)
                classes.write(c)
                found += np.bincount(c, minlength=len(found))
                if on_progress is not None:
                    on_progress(int(found.sum()), n)
        manifest = {
            "format": FORMAT,
            "synthetic": True,
            "counts": _by_label(schema, found),
            "samples": {"shape": shape, "dtype": dtype.str},
            "sha256": {**samples.sha256, **classes.sha256},
            "schema": schema.to_dict(),
        }
        (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def read_bank(folder: Path, *, verify: bool) -> tuple[Rows | Shards, Rows, Schema]:
    """Return mapped samples and class indices, and the schema; CheckpointError if anything differs."""
    with reading(folder, "a bank"):
        manifest = read_json(folder / MANIFEST)
        if manifest["format"] not in READABLE:
            raise CheckpointError(
                f"{folder} has format {manifest['format']!r}; this version reads formats {listed(READABLE)}. "
                "Open it with the version of ganaug that wrote it, or generate again."
            )
        schema = Schema.from_dict(manifest["schema"])
        samples, classes = _map(folder, manifest)
        for name, expected in manifest["sha256"].items() if verify else ():
            if _sha256(folder / name) != expected:
                raise ValueError(f"{folder / name} differs from its manifest")
        if _counts(schema, classes) != manifest["counts"]:
            raise ValueError(f"{folder / CLASSES} differs from its manifest")
    return samples, classes, schema


def _map(folder: Path, manifest: dict[str, Any]) -> tuple[Rows | Shards, Rows]:
    """Return samples and class indices after checking that they are as the manifest describes them."""
    n_shards = len(manifest["sha256"]) - 1
    names = ["samples.npy"] if manifest["format"] == 1 else [SHARD.format(i) for i in range(n_shards)]
    if not names or set(manifest["sha256"]) != {*names, CLASSES}:
        raise ValueError(f"the manifest lists {listed(manifest['sha256'])}")
    samples = Shards([folder / name for name in names]) if n_shards > 1 else map_npy(folder / names[0])
    classes = map_npy(folder / CLASSES)
    found = {"shape": list(samples.shape), "dtype": samples.dtype.str}
    if found != manifest.get("samples", found) or classes.shape != samples.shape[:1]:
        raise ValueError(f"{found} of {len(classes)} classes differs from its manifest")
    return samples, classes


def _by_label(schema: Schema, counts: Rows) -> dict[str, int]:
    return dict(zip(map(str, schema.labels.tolist()), counts.tolist(), strict=True))


def _counts(schema: Schema, classes: Rows) -> dict[str, int] | None:
    """Return the number of samples by label as the manifest has it; None if there are other classes."""
    found = np.zeros(len(schema.labels), np.int64)
    for piece in pieces(classes):
        if not 0 <= classes[piece].min() <= classes[piece].max() < len(found):
            return None
        found += np.bincount(classes[piece], minlength=len(found))
    return _by_label(schema, found)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder under a temporary name that takes its own name when everything was written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        os.replace(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished)
        raise


def _require_free(folder: Path, needed: int) -> None:
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise OSError(
            f"the bank needs {needed / 1e9:.2f} GB; {there} has {free / 1e9:.2f} GB free. "
            "Ask for fewer samples, or choose a folder on another disk; nothing was written."
        )


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
