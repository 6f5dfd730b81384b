"""A bank on disk: numbered .npy files of samples, their class indices, and a manifest."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ganaug._checks import listed, reading
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError, DataError
from ganaug.formats import BANK, format_of
from ganaug.formats.files import inside, sha256_of_file
from ganaug.formats.pictures import FREE_BYTES, MAX_RATIO
from ganaug.manifest import MANIFEST, bank_rows, by_label, contents_of, read_manifest
from ganaug.shards import Rows, Shards, map_npy, pieces

CLASSES = "classes.npy"


def read_bank(folder: Path, *, verify: bool) -> tuple[Rows | Shards, Rows, Schema]:
    """Return mapped samples and class indices, and the schema; CheckpointError if anything differs."""
    manifest = read_manifest(folder)
    with reading(folder, "a bank"):
        if manifest.get("layout", "bank") != "bank":
            raise ValueError(f"it holds a {manifest['layout']}: open it with SampleBank.from_files")
        schema = Schema.from_dict(manifest["schema"])
        samples, classes = _map(folder, manifest)
        if verify:
            verify_files(folder, manifest["sha256"])
        if _counts(schema, classes) != manifest["counts"]:
            raise ValueError(f"{folder / CLASSES} differs from its manifest")
    return samples, classes, schema


def read_export(folder: Path) -> tuple[Iterator[tuple[Rows, Rows]], int, Rows, Schema]:
    """Return pieces of samples with class indices, their number, an array like them, and the schema."""
    manifest = read_manifest(folder)
    try:
        schema, layout = Schema.from_dict(manifest["schema"]), manifest.get("layout", "bank")
        if layout == "bank":
            samples, classes, _ = read_bank(folder, verify=True)
            whole = ((samples[p], classes[p]) for p in pieces(samples))
            return whole, len(classes), samples[:0], schema
        form = format_of(layout, schema.kind)
        shape, dtype = tuple(manifest["samples"]["shape"]), np.dtype(manifest["samples"]["dtype"])
        counts = [manifest["counts"][label] for label in map(str, schema.labels.tolist())]
        contents = contents_of(schema, shape, dtype, counts)
        if sum(counts) != shape[0] or min((*shape, *counts)) < 0 or dtype.str[0] == ">" or form.read is None:
            raise ValueError(f"{MANIFEST} says {counts} samples of the shape {shape} and dtype {dtype.str}")
        if math.prod(shape) * dtype.itemsize > max(FREE_BYTES, MAX_RATIO * _bytes_under(folder)):
            raise ValueError(f"a shape of {shape} is far more than its files can hold")
        verify_files(folder, manifest["sha256"])
        rows = bank_rows(layout, schema, form.read([folder / name for name in manifest["sha256"]], contents))
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder} is not an export of ganaug, or it was changed: {error}. Export again."
        ) from error
    none = np.empty((0, *shape[1:]), dtype)
    return _all_of(folder, rows, none, counts), shape[0], none, schema


def _all_of(
    folder: Path, rows: Iterator[tuple[Rows, Rows]], like: Rows, counts: list[int]
) -> Iterator[tuple[Rows, Rows]]:
    """Yield rows, which must be such and as many of each class as the manifest says."""
    found = np.zeros(len(counts), np.int64)
    try:
        for X, c in rows:
            found += np.bincount(c, minlength=len(counts))
            if (X.shape[1:], X.dtype) != (like.shape[1:], like.dtype):
                raise ValueError(f"samples of {X.shape[1:]} {X.dtype}, not {like.shape[1:]} {like.dtype}")
            if (found > counts).any():
                break
            yield X, c
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise CheckpointError(f"{folder} does not hold what its manifest says: {error}.") from error
    if found.tolist() != counts:
        raise CheckpointError(f"{folder} holds {found.tolist()} samples; its manifest says {counts}.")


def _bytes_under(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def verify_files(folder: Path, sums: dict[str, str]) -> None:
    """Raise ValueError for a file that is outside of the folder, or differs from its sum."""
    for name, expected in sums.items():
        if sha256_of_file(inside(folder, name)) != expected:
            raise ValueError(f"{folder / name} differs from its manifest")


def _map(folder: Path, manifest: dict[str, Any]) -> tuple[Rows | Shards, Rows]:
    """Return samples and class indices after checking that they are as the manifest describes them."""
    n_shards = len(manifest["sha256"]) - 1
    names = ["samples.npy"] if manifest["format"] == 1 else [BANK.part.format(i) for i in range(n_shards)]
    if not names or set(manifest["sha256"]) != {*names, CLASSES}:
        raise ValueError(f"the manifest lists {listed(manifest['sha256'])}")
    files = [inside(folder, name) for name in names]
    samples = Shards(files) if n_shards > 1 else map_npy(files[0])
    classes = map_npy(inside(folder, CLASSES))
    if ">" in (samples.dtype.byteorder, classes.dtype.byteorder):
        raise ValueError(f"its numbers are of the byte order of large machines, {samples.dtype.str}")
    found = {"shape": list(samples.shape), "dtype": samples.dtype.str}
    if found != manifest.get("samples", found) or classes.shape != samples.shape[:1]:
        raise ValueError(f"{found} of {len(classes)} classes differs from its manifest")
    return samples, classes


def _counts(schema: Schema, classes: Rows) -> dict[str, int] | None:
    """Return the number of samples by label as the manifest has it; None if there are other classes."""
    found = np.zeros(len(schema.labels), np.int64)
    for piece in pieces(classes):
        if not 0 <= classes[piece].min() <= classes[piece].max() < len(found):
            return None
        found += np.bincount(classes[piece], minlength=len(found))
    return by_label(schema, found)
