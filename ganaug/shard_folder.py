"""A folder of shards: written by any number of jobs, gone on with after any end, the same bytes each time."""

import errno
import json
import os
import re
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import torch
from joblib.externals.loky import ProcessPoolExecutor, as_completed

from ganaug._checks import empty_folder, number
from ganaug.data.images import ImageCodec
from ganaug.data.plain_values import fits_8_bits
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import CheckpointError, ConfigError, GanaugWarning
from ganaug.formats import Format, format_of
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.formats.files import sha256_of_file, whole_file, write_whole
from ganaug.manifest import MANIFEST, UNFINISHED, contents_of, manifest_of, rows_for

ORDER = "order.json"
OWN = re.compile(rf"{re.escape(UNFINISHED)}(\.[0-9a-f]{{32}})?")
"""Names of the folder of unfinished samples, and of what becomes it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

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


class ShardFolder:
    """One folder for samples in one format.

    What is not finished lies beside a folder `.unfinished`, which holds the order and a note of each
    finished shard; `manifest.json` is written last. Equal orders give equal bytes.
    """

    def __init__(self, path: str | Path, samples: Samples, layout: str):
        self.path, self.samples, self.layout = Path(path), samples, layout
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
        if there and (self.path / MANIFEST).exists():
            self._tidy()  # the end may have come just before
            return True
        made = not self.path.exists()
        if not there:
            self._begin(join=of is not None)
        mine = self.samples.shards if of is None else self.samples.shards[of[0] - 1 :: of[1]]
        to_do = [shard for shard in mine if not self._is_done(shard)]
        self._require_free(sum(shard.n for shard in to_do))
        done = sum(shard.n for shard in mine) - sum(shard.n for shard in to_do)
        total = sum(shard.n for shard in mine)

        def advance(n: int) -> None:
            nonlocal done
            done += n
            if on_progress is not None:
                on_progress(done, total)

        with self._kept_or_removed(new=not resume and of is None, made=made):
            if done:
                advance(0)
            self._write_shards(to_do, jobs, advance)
            if of is not None:
                return False
            self._finish()
        return True

    def check(self, *, resume: bool = False, join: bool = False) -> bool:
        """Raise unless the folder is empty or holds this order; return whether the order is there."""
        new = self._is_new()  # looked at first: an order may appear at any time
        there = self._order_there() if resume or join else None
        if there is None:
            if resume:
                raise CheckpointError(
                    f"{self.path} must be a folder with unfinished samples to go on with; there are none. "
                    "Start without resume (--resume)."
                )
            if not new:
                empty_folder(self.path, hint=", or go on with resume=True (--resume)")
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

    def _is_new(self) -> bool:
        """Return whether nothing is there but what jobs make that begin, or ended as they began."""
        inner = (self.path / UNFINISHED).glob("*")
        return (
            (self.path.is_dir() or not self.path.exists())
            and all(OWN.fullmatch(e.name) for e in self.path.glob("*"))
            and all(e.name.startswith(f".{ORDER}.") for e in inner)
        )

    def _begin(self, *, join: bool) -> None:
        """Make the folder `.unfinished` with the order in it at once; another job may be the first."""
        unfinished = self.path / UNFINISHED
        own = self.path / f"{UNFINISHED}.{uuid4().hex}"
        own.mkdir(parents=True)
        try:
            write_whole(own / ORDER, json.dumps(self.order, indent=1))
            for left in unfinished.glob(f".{ORDER}.*"):
                left.unlink(missing_ok=True)
            with suppress(OSError):
                unfinished.rmdir()
            os.rename(own, unfinished)
        except OSError:
            shutil.rmtree(own, ignore_errors=True)
            if not (unfinished / ORDER).exists():
                raise
            self.check(join=join)

    def _clear(self, *, folder: bool) -> None:
        """Remove what lies in the folder, which was empty before, and the folder itself if it was made."""
        for entry in self.path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if folder:
            self.path.rmdir()

    def _order_there(self) -> dict[str, Any] | None:
        for file, key in ((self.path / MANIFEST, "order"), (self.path / UNFINISHED / ORDER, None)):
            try:
                found = json.loads(file.read_text(encoding="utf-8"))
                return dict(found[key] if key else found)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, TypeError, KeyError) as error:
                raise CheckpointError(f"{file} cannot be read: {error}. Generate again.") from error
        return None

    def _part(self, shard: Shard) -> Path:
        name = self.format.part.format(shard.number)
        return self.path / UNFINISHED / name if self.format.staged else self.path / name

    def _note(self, shard: Shard) -> Path:
        return self.path / UNFINISHED / f"{shard.number:05d}.json"

    def _is_done(self, shard: Shard) -> bool:
        """Return whether a shard is there, with the bytes that its note says."""
        try:
            note = json.loads(self._note(shard).read_text(encoding="utf-8"))
            good = note == {"sha256": sha256_of_file(self._part(shard))}
        except (OSError, ValueError):
            return False
        return good and (self.format.check is None or self.format.check(self._part(shard), self.path))

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

    def write_shard(self, shard: Shard, advance: Callable[[int], None] | None = None) -> int:
        """Write one shard and the note that it is done; return its number of samples."""
        with _one_thread(), whole_file(self._part(shard), staging=self.path / UNFINISHED) as file:
            rows = _counted(self.samples.rows(shard), advance)
            plain = rows_for(self.format.takes, self.samples.schema, self.contents, rows)
            self.format.write(file, self.path, shard, plain, self.contents)
        write_whole(self._note(shard), json.dumps({"sha256": sha256_of_file(self._part(shard))}))
        return shard.n

    def _finish(self) -> None:
        """Join the parts, and write the manifest."""
        parts = [self._part(shard) for shard in self.samples.shards]
        sums: dict[str, str] = {}
        if not self.format.staged:
            notes = (json.loads(self._note(s).read_text(encoding="utf-8")) for s in self.samples.shards)
            sums |= {part.name: note["sha256"] for part, note in zip(parts, notes, strict=True)}
        if self.format.whole is not None and self.format.join is not None:
            whole = self.path / self.format.whole
            classes = (self.samples.classes(shard) for shard in self.samples.shards)
            with whole_file(whole, staging=self.path / UNFINISHED) as file:
                self.format.join(file, parts, classes, self.contents)
            sums[whole.name] = sha256_of_file(whole)
        manifest = manifest_of(self.samples.schema, self.contents, self.order, sums)
        with whole_file(self.path / MANIFEST, staging=self.path / UNFINISHED) as file:
            file.write(json.dumps(manifest, indent=1).encode())
        self._tidy()

    def _tidy(self) -> None:
        """Remove what only unfinished samples need, and what jobs left that were killed as they began."""
        for folder in self.path.glob("*"):
            if OWN.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _kept_or_removed(self, *, new: bool, made: bool) -> Iterator[None]:
        """Keep what was done when the disk is full or the user stops; leave nothing where nothing was."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            done = sum(self._note(shard).exists() for shard in self.samples.shards)
            if isinstance(error, OSError) and error.errno in FULL:
                raise OSError(
                    f"{self.path} has no room left ({os.strerror(error.errno)}); {done} of "
                    f"{len(self.samples.shards)} shards are finished and stay. Make room, then go on with "
                    "resume=True (--resume)."
                ) from error
            if new and not done:
                self._clear(folder=made)
            raise

    def _require_free(self, n: int) -> None:
        there = next(p for p in (self.path.absolute(), *self.path.absolute().parents) if p.exists())
        free, needed = shutil.disk_usage(there).free, self.bytes_needed * n // max(1, self.n)
        if free < needed:
            raise OSError(
                f"{self.path} needs about {needed / 1e9:.2f} GB; {there} has {free / 1e9:.2f} GB free. "
                "Ask for fewer samples, or choose a folder on another disk; nothing was written."
            )


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
def _one_thread() -> Iterator[None]:
    """Compute on one thread of torch: other numbers of threads round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
