"""Shards under the URL of an object store, as fsspec knows them: s3://, gs://, az://, memory://, file://."""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ganaug._checks import listed
from ganaug.errors import CheckpointError, ConfigError, OutputExistsError
from ganaug.formats import FORMATS
from ganaug.formats.contents import Shard
from ganaug.formats.files import sha256_of_file
from ganaug.manifest import MANIFEST, UNFINISHED, manifest_of
from ganaug.shard_folder import FULL, ShardFolder
from ganaug.shard_order import ORDER, Samples, ShardOrder, one_thread

__all__ = ["ShardBucket", "shard_place"]

HALF_WRITTEN = 5.0
"""Seconds that another job may take to write an order, in a store where one sees it half written."""


def shard_place(path: str | Path, samples: Samples, layout: str) -> ShardOrder:
    """Return where samples go: a bucket for a URL, else a folder."""
    return (ShardBucket if "://" in str(path) else ShardFolder)(str(path), samples, layout)


class ShardBucket(ShardOrder):
    """Samples under a URL: each shard is written to a local file first, and is one object.

    The order and a note of each finished shard (its size and sum, and the order that it is of) lie below
    `.unfinished`; `manifest.json` is written last. Nothing is renamed, for object stores cannot.
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
        if not url.partition("://")[2].strip("/"):
            raise ConfigError(f"a URL must name a bucket or a folder after '://'; got {url!r}.")
        from fsspec.core import url_to_fs

        try:
            self.store, self.root = url_to_fs(self.path, use_listings_cache=False)  # other jobs write too
        except Exception as error:  # whatever the package of the store raises
            raise ConfigError(f"{self.path} cannot be opened: {error}") from error
        if set(self.root) & set("*?[]"):
            raise ConfigError(f"a URL must be without *, ?, [ and ], which are patterns there; got {url!r}.")
        content = json.dumps(self.order, sort_keys=True).encode()
        self.digest = hashlib.sha256(content).hexdigest()

    def _ask(self, what: str, *args: Any, **settings: Any) -> Any:
        """Call a method of the store; whatever it raises beside what is not, or already, there is OSError."""
        try:
            return getattr(self.store, what)(*args, **settings)
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            raise self._failed(what, error) from error

    def _failed(self, what: str, error: Exception) -> OSError:
        return OSError(
            f"{self.path} failed ({what}): {type(error).__name__}: {error}. What is finished stays there; go "
            "on with resume=True (--resume), or with the same part (--shard)."
        )

    def _refuse(self) -> None:
        hint = ", or go on with resume=True (--resume)" if self._order_there() else ""
        raise OutputExistsError(
            f"{self.path} must be empty; it holds {self._ask('find', self.root)[0]}. Choose another "
            f"URL{hint}; nothing was written."
        )

    def _is_new(self) -> bool:
        return not self._ask("exists", self.root) or not self._ask("find", self.root)

    def _order_there(self) -> dict[str, Any] | None:
        end = time.monotonic() + HALF_WRITTEN
        while True:
            try:
                return self._read_order()
            except CheckpointError:
                if time.monotonic() > end or self._ask("exists", self._at(MANIFEST)):
                    raise
                time.sleep(0.05)

    def _read_order(self) -> dict[str, Any] | None:
        manifest, order = (MANIFEST, "order"), (f"{UNFINISHED}/{ORDER}", None)
        for name, key in (manifest, order, manifest):  # which another job may write, and remove the order
            try:
                found = json.loads(self._ask("cat_file", self._at(name)))
                return dict(found[key] if key else found)
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, KeyError) as error:
                raise CheckpointError(
                    f"{self.path}/{name} cannot be read: {error}. Generate again, under another URL."
                ) from error
        return None

    def _require_free(self, n: int) -> None:
        """Object stores have no end; the local disk needs room for a shard of each job."""

    def _begin(self, *, join: bool) -> None:
        """Write the order, where no other job was the first; a bucket must be there."""
        first = self.root.lstrip("/").split("/")[0]
        if self._ask("exists", self.root[: self.root.index(first)] + first):
            self._ask("makedirs", self._at(UNFINISHED), exist_ok=True)
        try:
            self._put(f"{UNFINISHED}/{ORDER}", self.order, mode="create")
        except FileExistsError:
            pass
        except FileNotFoundError as error:
            raise self._failed("there is no such bucket or folder", error) from error
        self.check(resume=True)

    def _left(self, shards: list[Shard]) -> list[Shard]:
        """Return those that are not there, of the sizes that notes of this order say."""
        sizes = {name: about["size"] for name, about in self._found().items()}
        noted = [shard for shard in shards if self._at(self._note(shard)) in sizes]
        notes = dict(zip((shard.number for shard in noted), self._notes(noted), strict=True))
        expected = {number: note["size"] for number, note in notes.items() if note is not None}
        return [
            shard
            for shard in shards
            if expected.get(shard.number, -1) != sizes.get(self._at(self._part(shard)))
        ]

    def _found(self) -> dict[str, dict[str, Any]]:
        """Return what the store says of each object."""
        found: dict[str, dict[str, Any]] = self._ask("find", self.root, detail=True)
        return found

    def _notes(self, shards: list[Shard]) -> list[dict[str, Any] | None]:
        """Return the notes of shards, read side by side; None where there is none of this order."""
        names = [self._at(self._note(shard)) for shard in shards]
        found = self._ask("cat_ranges", names, None, None, on_error="return") if names else []
        for content in found:
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise self._failed("reading notes", content) from content
        return [self._of_this_order(content) for content in found]

    def _of_this_order(self, content: Any) -> dict[str, Any] | None:
        try:
            note = json.loads(content)
            return dict(note) if note["order"] == self.digest else None
        except (ValueError, TypeError, KeyError):  # half written, another order's, or not there
            return None

    def _write_shards(self, shards: list[Shard], jobs: int, advance: Callable[[int], None]) -> None:
        if jobs > 1 and "memory" in self.store.protocol:
            raise ConfigError("memory:// is within one process; write there with jobs=1 (--jobs).")
        super()._write_shards(shards, jobs, advance)
        if shards and self._is_finished():
            self._tidy()  # another job ended the work meanwhile

    def write_shard(self, shard: Shard, advance: Callable[[int], None] | None = None) -> int:
        """Write one shard and the note that it is done; return its number of samples."""
        self._require_own()
        with self._local() as local:
            with one_thread(), open(local, "wb") as file:
                self.format.write(file, local.parent, shard, self.plain_rows(shard, advance), self.contents)
            self._ask("put_file", str(local), self._at(self._part(shard)))
            note = {"order": self.digest, "sha256": sha256_of_file(local), "size": local.stat().st_size}
        self._put(self._note(shard), note)
        return shard.n

    def _require_own(self) -> None:
        """Raise where two jobs began at once, in a store that let both, and the order is not this one's."""
        there = self._order_there()
        if there is None:
            raise CheckpointError(
                f"{self.path} has lost its order: another job failed as it began, or removed it. Start again."
            )
        if there != self.order:
            raise CheckpointError(
                f"{self.path} holds samples of another order, which began at the same time. Choose another "
                "URL for these."
            )

    def _finish(self) -> None:
        self._require_own()
        notes = self._notes(self.samples.shards)
        if None in notes and self._is_finished():
            return  # by another job
        sums = {}
        for shard, note in zip(self.samples.shards, notes, strict=True):
            if note is None:
                raise CheckpointError(
                    f"{self.path}/{self._note(shard)} is gone, or of another order. Go on with resume=True "
                    "(--resume) once no other job writes there."
                )
            sums[self._part(shard)] = note["sha256"]
        if self.format.whole is not None and self.format.join is not None:
            classes = (self.samples.classes(shard) for shard in self.samples.shards)
            with self._local() as local:
                with open(local, "wb") as file:
                    self.format.join(file, [], classes, self.contents)
                self._ask("put_file", str(local), self._at(self.format.whole))
                sums[self.format.whole] = sha256_of_file(local)
        self._put(MANIFEST, manifest_of(self.samples.schema, self.contents, self.order, sums))
        self._tidy()

    def _is_finished(self) -> bool:
        return bool(self._ask("exists", self._at(MANIFEST)))

    def _tidy(self) -> None:
        with suppress(FileNotFoundError):  # another job does the same
            self._ask("rm", self._at(UNFINISHED), recursive=True)

    @contextmanager
    def _kept_or_removed(self, *, new: bool) -> Iterator[None]:
        """Keep what was done, and leave nothing where there is nothing but an order."""
        try:
            yield
        except KeyboardInterrupt:
            raise
        except BaseException:
            if new:
                with suppress(OSError):  # the store itself may be what failed
                    if all(name.endswith(f"/{UNFINISHED}/{ORDER}") for name in self._found()):
                        self._tidy()
            raise

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _part(self, shard: Shard) -> str:
        return self.format.part.format(shard.number)

    def _note(self, shard: Shard) -> str:
        return f"{UNFINISHED}/{shard.number:05d}.json"

    def _put(self, name: str, content: dict[str, Any], **settings: Any) -> None:
        self._ask("pipe_file", self._at(name), json.dumps(content, indent=1).encode(), **settings)

    @contextmanager
    def _local(self) -> Iterator[Path]:
        """Give a file on the local disk that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="ganaug-shard-") as folder:
            try:
                yield Path(folder) / "shard"
            except OSError as error:
                if error.errno not in FULL:
                    raise
                raise OSError(
                    error.errno,
                    f"{tempfile.gettempdir()} has no room for a shard on its way to {self.path}. Make room, "
                    "or name another folder as TMPDIR, then go on with resume=True (--resume)",
                ) from error
