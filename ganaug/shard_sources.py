"""Where the samples of a shard folder come from: drawn from a generator, or out of a bank."""

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganaug._checks import number
from ganaug.data.plain_values import bank_values
from ganaug.data.schema import Schema
from ganaug.formats.contents import Array, Rows, Shard
from ganaug.formats.files import sha256_of_file
from ganaug.manifest import MANIFEST
from ganaug.shards import pieces

if TYPE_CHECKING:
    from ganaug.bank import SampleBank
    from ganaug.generator import ConditionalGAN

SHARD_BYTES, SHARD_ROWS = 1 << 25, 1 << 14
"""A shard takes some seconds: it is what an end without warning can lose."""


class DrawnSamples:
    """Samples of a fitted generator; a shard is a function of generator, seed, class and number.

    Shards hold samples of one class each, in whole pieces as the generator draws them, so that the samples
    do not depend on how they are cut.
    """

    def __init__(
        self,
        gan: "ConditionalGAN",
        counts: list[tuple[int, int]],
        *,
        seed: int,
        truncation: float | None = None,
        shard_rows: int | None = None,
    ):
        self.gan, self.seed, self.truncation = gan, seed, truncation
        self.schema: Schema = gan.schema_
        none = bank_values(self.schema, self.schema.decode_X(torch.empty(0, *self.schema.codec.shape)))
        self.dtype = none.dtype
        self.shape = (int(sum(n for _, n in counts)), *none.shape[1:])
        rows = rows_per_shard(self.shape, self.dtype, shard_rows)
        self.step = math.ceil(rows / gan.piece_rows) * gan.piece_rows
        self.shards: list[Shard] = []
        self.counts, start = [0] * len(self.schema.labels), 0
        for k, n in counts:
            self.counts[k] = int(n)
            for first in range(0, n, self.step):
                self._add(k, start, first, min(self.step, n - first))
                start += self.shards[-1].n
        if not self.shards:
            self._add(0, 0, 0, 0)
        self.origin = {
            "generator": gan.digest(),
            "device": next(gan.G_.parameters()).device.type,
            "seed": seed,
            "truncation": truncation,
            "counts": [[str(self.schema.labels[k]), int(n)] for k, n in counts],
            "shard_rows": self.step,
        }

    def _add(self, k: int, start: int, first: int, n: int) -> None:
        self.shards.append(Shard(number=len(self.shards), start=start, n=int(n), firsts={k: first}))

    def rows(self, shard: Shard) -> Rows:
        """Yield samples as a bank holds them, and class indices."""
        ((k, before),) = shard.firsts.items()
        first = before // self.gan.piece_rows
        for X in self.gan.draw(k, shard.n, seed=self.seed, first=first, truncation=self.truncation):
            yield bank_values(self.schema, X), np.full(len(X), k, np.int64)

    def classes(self, shard: Shard) -> Array:
        """Return class indices."""
        (k,) = shard.firsts
        return np.full(shard.n, k, np.int64)


class BankSamples:
    """Samples of a bank, in its order."""

    def __init__(self, bank: "SampleBank", shard_rows: int | None = None):
        self.bank, self.schema = bank, bank.schema
        self.shape, self.dtype = tuple(bank.samples.shape), bank.samples.dtype
        self.step = rows_per_shard(self.shape, self.dtype, shard_rows)
        self.shards: list[Shard] = []
        found = np.zeros(len(self.schema.labels), np.int64)
        for start in range(0, max(1, len(bank)), self.step):
            c = bank.class_indices[start : start + self.step]
            firsts = {k: int(found[k]) for k in np.unique(c).tolist()}
            self.shards.append(Shard(number=len(self.shards), start=start, n=len(c), firsts=firsts))
            found += np.bincount(c, minlength=len(found))
        self.counts = [int(n) for n in found]
        self.origin = {"bank": _digest(bank), "shard_rows": self.step}

    def rows(self, shard: Shard) -> Rows:
        """Yield samples, and class indices."""
        for piece in pieces(self.bank.samples, shard.start, shard.start + shard.n):
            yield self.bank.samples[piece], np.asarray(self.bank.class_indices[piece])

    def classes(self, shard: Shard) -> Array:
        """Return class indices."""
        return np.asarray(self.bank.class_indices[shard.start : shard.start + shard.n])


def rows_per_shard(shape: tuple[int, ...], dtype: np.dtype[Any], shard_rows: int | None) -> int:
    """Return how many samples make a shard of a moderate size, where nobody says."""
    if shard_rows is not None:
        number("shard_rows", shard_rows, low=1, integer=True)
        return shard_rows
    row_bytes = max(1, dtype.itemsize * math.prod(shape[1:]))
    return max(1, min(SHARD_ROWS, SHARD_BYTES // row_bytes))


def _digest(bank: "SampleBank") -> str:
    """Return the sha256 of a bank: of its manifest, which has those of its files, or of its samples."""
    if bank.path is not None:
        return sha256_of_file(bank.path / MANIFEST)
    digest = hashlib.sha256(str((bank.samples.shape, bank.samples.dtype)).encode())
    for piece in pieces(bank.samples):
        digest.update(np.ascontiguousarray(bank.samples[piece]).reshape(-1).view(np.uint8).data)
    digest.update(np.ascontiguousarray(bank.class_indices).view(np.uint8).data)
    return digest.hexdigest()
