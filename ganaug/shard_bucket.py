"""Shards under the URL of an object store, as fsspec knows them: s3://, gs://, az://, memory://, file://."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganaug._checks import listed
from ganaug.errors import CheckpointError, ConfigError, OutputExistsError
from ganaug.formats import FORMATS
from ganaug.formats.contents import Shard
from ganaug.formats.files import sha256_of_file
from ganaug.manifest import MANIFEST, UNFINISHED, manifest_of
from ganaug.shard_folder import ShardFolder
from ganaug.shard_order import ORDER, Samples, ShardOrder, one_thread

__all__ = ["ShardBucket", "shard_place"]


def shard_place(path: str | Path, samples: Samples, layout: str) -> ShardOrder:
    """Return where samples go: a bucket for a URL, else a folder."""
    return (ShardBucket if "://" in str(path) else ShardFolder)(str(path), samples, layout)


class ShardBucket(ShardOrder):
    """Samples under a URL: each shard is written to a local file first, and appears there whole.

    An object takes its name once all of it has come, so that nothing need be renamed. The order and a note
    of each finished shard, its size and its sum, lie below `.unfinished`; `manifest.json` is written last.
    """

    def __init__(self, url: str, samples: Samples, layout: str):
        super().__init__(url.rstrip("/"), samples, layout)
        if self.format.staged:
            kind = samples.schema.kind
            fitting = [name for name, kinds in FORMATS.items() if kind in kinds and not kinds[kind].staged]
            raise ConfigError(
                f"format must be one of {listed(fitting)} under a URL, where a shard is one object; got "
                f"{layout!r}. Or write into a folder, and copy that."
            )
        from fsspec.core import url_to_fs

        try:
            self.store, self.root = url_to_fs(self.path, use_listings_cache=False)  # other jobs write too
        except (ImportError, ValueError) as error:
            raise ConfigError(f"{self.path} cannot be opened: {error}") from error

    def _refuse(self) -> None:
        raise OutputExistsError(
            f"{self.path} must be empty; it holds something. Choose another URL, or go on with resume=True "
            "(--resume); nothing was written."
        )

    def _is_new(self) -> bool:
        return not self.store.exists(self.root) or not self.store.find(self.root)

    def _order_there(self) -> dict[str, Any] | None:
        for name, key in ((MANIFEST, "order"), (f"{UNFINISHED}/{ORDER}", None)):
            try:
                found = json.loads(self.store.cat_file(self._at(name)))
                return dict(found[key] if key else found)
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, KeyError) as error:
                raise CheckpointError(
                    f"{self.path}/{name} cannot be read: {error}. Generate again."
                ) from error
        return None

    def _require_free(self, n: int) -> None:
        """Object stores have no end; the local disk needs room for a shard of each job."""

    def _begin(self, *, join: bool) -> None:
        self._put(f"{UNFINISHED}/{ORDER}", self.order)
        self.check(resume=True)  # another job may have been the first, with another order

    def _is_done(self, shard: Shard) -> bool:
        try:
            note = json.loads(self.store.cat_file(self._at(self._note(shard))))
            return bool(self.store.size(self._at(self._part(shard))) == note["size"])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return False

    def _write_shards(self, shards: list[Shard], jobs: int, advance: Callable[[int], None]) -> None:
        if jobs > 1 and "memory" in self.store.protocol:
            raise ConfigError("memory:// is within one process; write there with jobs=1 (--jobs).")
        super()._write_shards(shards, jobs, advance)

    def write_shard(self, shard: Shard, advance: Callable[[int], None] | None = None) -> int:
        """Write one shard and the note that it is done; return its number of samples."""
        with self._local() as local:
            with one_thread(), open(local, "wb") as file:
                self.format.write(file, local.parent, shard, self.plain_rows(shard, advance), self.contents)
            self.store.put_file(str(local), self._at(self._part(shard)))
            note = {"sha256": sha256_of_file(local), "size": local.stat().st_size}
        self._put(self._note(shard), note)
        return shard.n

    def _finish(self) -> None:
        sums = {}
        for shard in self.samples.shards:
            sums[self._part(shard)] = json.loads(self.store.cat_file(self._at(self._note(shard))))["sha256"]
        if self.format.whole is not None and self.format.join is not None:
            classes = (self.samples.classes(shard) for shard in self.samples.shards)
            with self._local() as local:
                with open(local, "wb") as file:
                    self.format.join(file, [], classes, self.contents)
                self.store.put_file(str(local), self._at(self.format.whole))
                sums[self.format.whole] = sha256_of_file(local)
        self._put(MANIFEST, manifest_of(self.samples.schema, self.contents, self.order, sums))
        self._tidy()

    def _is_finished(self) -> bool:
        return bool(self.store.exists(self._at(MANIFEST)))

    def _tidy(self) -> None:
        if self.store.exists(self._at(UNFINISHED)):
            self.store.rm(self._at(UNFINISHED), recursive=True)

    @contextmanager
    def _kept_or_removed(self, *, new: bool) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:
            if new and not any(map(self._is_done, self.samples.shards)):
                self._tidy()
            raise

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _part(self, shard: Shard) -> str:
        return self.format.part.format(shard.number)

    def _note(self, shard: Shard) -> str:
        return f"{UNFINISHED}/{shard.number:05d}.json"

    def _put(self, name: str, content: dict[str, Any]) -> None:
        folder = os.path.dirname(self._at(name))
        self.store.makedirs(folder, exist_ok=True)
        self.store.pipe_file(self._at(name), json.dumps(content, indent=1).encode())

    @contextmanager
    def _local(self) -> Iterator[Path]:
        """Give a file on the local disk that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="ganaug-shard-") as folder:
            yield Path(folder) / "shard"
