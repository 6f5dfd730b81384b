"""A folder of shards: written by any number of jobs, gone on with after any end, the same bytes each time."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from ganaug._checks import empty_folder
from ganaug.errors import CheckpointError
from ganaug.formats.contents import Shard
from ganaug.formats.files import sha256_of_file, whole_file, write_whole
from ganaug.manifest import MANIFEST, UNFINISHED, manifest_of
from ganaug.shard_order import ORDER, OnProgress, Samples, ShardOrder, one_thread

__all__ = ["OnProgress", "Samples", "ShardFolder"]

OWN = re.compile(rf"{re.escape(UNFINISHED)}(\.[0-9a-f]{{32}})?")
"""Names of the folder of unfinished samples, and of what becomes it."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ShardFolder(ShardOrder):
    """One folder for samples in one format.

    What is not finished lies beside a folder `.unfinished`, which holds the order and a note of each
    finished shard; `manifest.json` is written last.
    """

    path: Path
    _made = False

    def __init__(self, path: str | Path, samples: Samples, layout: str):
        super().__init__(Path(path), samples, layout)

    def _refuse(self) -> None:
        empty_folder(self.path, hint=", or go on with resume=True (--resume)")

    def _is_finished(self) -> bool:
        return (self.path / MANIFEST).exists()

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
        self._made = not self.path.exists()
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

    def _left(self, shards: list[Shard]) -> list[Shard]:
        return [shard for shard in shards if not self._is_done(shard)]

    def _is_done(self, shard: Shard) -> bool:
        """Return whether a shard is there, with the bytes that its note says."""
        try:
            note = json.loads(self._note(shard).read_text(encoding="utf-8"))
            good = note == {"sha256": sha256_of_file(self._part(shard))}
        except (OSError, ValueError):
            return False
        return good and (self.format.check is None or self.format.check(self._part(shard), self.path))

    def write_shard(self, shard: Shard, advance: Callable[[int], None] | None = None) -> int:
        """Write one shard and the note that it is done; return its number of samples."""
        with one_thread(), whole_file(self._part(shard), staging=self.path / UNFINISHED) as file:
            self.format.write(file, self.path, shard, self.plain_rows(shard, advance), self.contents)
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
    def _kept_or_removed(self, *, new: bool) -> Iterator[None]:
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
                self._clear(folder=self._made)
            raise

    def _require_free(self, n: int) -> None:
        there = next(p for p in (self.path.absolute(), *self.path.absolute().parents) if p.exists())
        free, needed = shutil.disk_usage(there).free, self.bytes_needed * n // max(1, self.n)
        if free < needed:
            raise OSError(
                f"{self.path} needs about {needed / 1e9:.2f} GB; {there} has {free / 1e9:.2f} GB free. "
                "Ask for fewer samples, or choose a folder on another disk; nothing was written."
            )
