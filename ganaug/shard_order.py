"""An order of samples: which ones, in which format, in how many shards; written to a folder or a bucket."""

import json
import os
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import torch
from joblib.externals.loky import ProcessPoolExecutor, as_completed

from ganaug._checks import number
from ganaug.data.images import ImageCodec
from ganaug.data.plain_values import fits_8_bits
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import CheckpointError, ConfigError, GanaugWarning
from ganaug.formats import Format, format_of
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.manifest import contents_of, rows_for

ORDER = "order.json"

OnProgress = Callable[[int, int], None]


class Samples(Protocol):
    """Samples that can be had shard by shard, in any process: drawn from a generator, or out of a bank."""

    schema: Schema
    shape: tuple[int, ...]
    dtype: Any
    counts: list[int]  # of each class
    shards: list[Shard]
    origin: dict[str, Any]  # equal for equal samples

    def rows(self, shard: Shard) -> Rows:
        """Yield samples as a bank holds them, and class indices."""

    def classes(self, shard: Shard) -> Array:
        """Return class indices."""


class ShardOrder(ABC):
    """What is to be written where; a note of each shard that is done lies beside the order.

    Equal orders give equal bytes, whoever writes which shard, and a manifest is written last.
    """

    def __init__(self, path: str | Path, samples: Samples, layout: str):
        self.path: Any = path
        self.samples, self.layout = samples, layout
        self.format: Format = format_of(layout, samples.schema.kind)
        codec, self.n = samples.schema.codec, samples.shape[0]
        if layout == "npz" and isinstance(codec, TableCodec) and not codec.numeric:
            raise ConfigError(
                "npz holds numbers only; write a table of other columns as 'csv', 'parquet' or 'bank'."
            )
        versions = {name: version(name) for name in ("ganaug", "torch", "numpy")}
        order = {"layout": layout, "shards": len(samples.shards), **samples.origin, "versions": versions}
        self.order = json.loads(json.dumps(order))
        self.contents: Contents = contents_of(samples.schema, samples.shape, samples.dtype, samples.counts)

    @property
    def bytes_needed(self) -> int:
        """About how many bytes all samples take."""
        values = int(torch.Size(self.samples.shape[1:]).numel())
        return self.n * self.format.sample_bytes(values * self.samples.dtype.itemsize, values)

    def write(
        self,
        *,
        jobs: int = 1,
        resume: bool = False,
        of: tuple[int, int] | None = None,
        on_progress: OnProgress | None = None,
    ) -> bool:
        """Write what is not there yet, or every n-th shard from the i-th on; return whether all is done."""
        number("jobs", jobs, low=1, integer=True)
        if of is not None and not 1 <= of[0] <= of[1]:
            raise ConfigError(f"shard must be i/n with i from 1 to n; got {of[0]}/{of[1]}.")
        there = self.check(resume=resume, join=of is not None)
        codec = self.samples.schema.codec
        if self.format.takes == "pictures" and isinstance(codec, ImageCodec) and not fits_8_bits(codec):
            warnings.warn(
                "the images have more than 256 levels, and pictures round them to 8 bits; the formats npz "
                f"and bank keep all of {codec.dtype}.",
                GanaugWarning,
                stacklevel=3,
            )
        if there and self._is_finished():
            self._tidy()  # the end may have come just before
            return True
        if not there:
            self._begin(join=of is not None)
        mine = self.samples.shards if of is None else self.samples.shards[of[0] - 1 :: of[1]]
        to_do = self._left(mine)
        self._require_free(sum(shard.n for shard in to_do))
        done = sum(shard.n for shard in mine) - sum(shard.n for shard in to_do)
        total = sum(shard.n for shard in mine)

        def advance(n: int) -> None:
            nonlocal done
            done += n
            if on_progress is not None:
                on_progress(done, total)

        with self._kept_or_removed(new=not resume and of is None):
            if done:
                advance(0)
            self._write_shards(to_do, jobs, advance)
            if of is not None:
                return False
            self._finish()
        return True

    def check(self, *, resume: bool = False, join: bool = False) -> bool:
        """Raise unless nothing is there, or this order; return whether the order is there."""
        new = self._is_new()  # looked at first: an order may appear at any time
        there = self._order_there() if resume or join else None
        if there is None:
            if resume:
                raise CheckpointError(
                    f"{self.path} must hold unfinished samples to go on with; there are none. "
                    "Start without resume (--resume)."
                )
            if not new:
                self._refuse()
            self._require_free(self.n)
            return False
        differ = [k for k in {**there, **self.order} if there.get(k) != self.order.get(k)]
        if differ:
            shown = "; ".join(f"{k}: {there.get(k)!r} then, {self.order.get(k)!r} now" for k in differ)
            raise CheckpointError(
                f"{self.path} holds samples of another order: {shown}. Go on with the same, or choose "
                "another folder."
            )
        return True

    @abstractmethod
    def _order_there(self) -> dict[str, Any] | None:
        """Return the order of what lies there, finished or not."""

    @abstractmethod
    def _is_new(self) -> bool:
        """Return whether nothing is there but what jobs make that begin, or ended as they began."""

    @abstractmethod
    def _refuse(self) -> None:
        """Raise OutputExistsError."""

    @abstractmethod
    def _require_free(self, n: int) -> None:
        """Raise OSError if n more samples have no room."""

    @abstractmethod
    def _begin(self, *, join: bool) -> None:
        """Write the order; another job may be the first."""

    @abstractmethod
    def _left(self, shards: list[Shard]) -> list[Shard]:
        """Return those that are not there as their notes say."""

    @abstractmethod
    def write_shard(self, shard: Shard, advance: Callable[[int], None] | None = None) -> int:
        """Write one shard and the note that it is done; return its number of samples."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what all shards share, and the manifest."""

    @abstractmethod
    def _is_finished(self) -> bool:
        """Return whether the manifest is there."""

    @abstractmethod
    def _tidy(self) -> None:
        """Remove what only unfinished samples need."""

    @abstractmethod
    def _kept_or_removed(self, *, new: bool) -> AbstractContextManager[None]:
        """Return a context that keeps what was done at an error, and leaves nothing where nothing was."""

    def plain_rows(self, shard: Shard, advance: Callable[[int], None] | None) -> Rows:
        """Yield the samples of a shard as the format takes them."""
        rows = _counted(self.samples.rows(shard), advance)
        return rows_for(self.format.takes, self.samples.schema, self.contents, rows)

    def _write_shards(self, shards: list[Shard], jobs: int, advance: Callable[[int], None]) -> None:
        if jobs == 1 or len(shards) < 2:
            for shard in shards:
                self.write_shard(shard, advance)
            return
        with ProcessPoolExecutor(
            min(jobs, len(shards)), initializer=_end_with, initargs=(os.getpid(),)
        ) as pool:
            try:
                for written in as_completed([pool.submit(self.write_shard, shard) for shard in shards]):
                    advance(written.result())
            except BaseException:
                pool.shutdown(kill_workers=True)
                raise


def _end_with(parent: int) -> None:
    """End this process soon after its parent was killed, which would leave it waiting for work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _counted(rows: Rows, advance: Callable[[int], None] | None) -> Rows:
    for x, c in rows:
        yield x, c
        if advance is not None:
            advance(len(c))


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of torch: other numbers of threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
