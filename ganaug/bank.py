"""SampleBank: generated samples, in memory or on disk with a manifest, memory-mapped."""

from collections.abc import Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganaug._checks import empty_folder
from ganaug._random import Seed
from ganaug.bank_folder import OnProgress, read_bank, whole_folder, write_bank
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.exporters import write_plain_files
from ganaug.shards import Rows, Shards, pieces

if TYPE_CHECKING:
    from ganaug.generator import ConditionalGAN

__all__ = ["SampleBank"]


class SampleBank:
    """Generated samples with their classes, in memory or memory-mapped from a folder.

    The folder holds ``samples-00000.npy`` and so on (the caller's dtype and layout), ``classes.npy``
    (class indices) and ``manifest.json`` (format, shape, sha256 of each file, counts, schema). Several
    processes can map one bank.

    Parameters
    ----------
    samples : ndarray or Shards of shape (n, ...)
        Images or rows as the codec decodes them; of a DataFrame its values. Tables of more than numbers
        are held as numbers, which `schema.codec.from_numbers` turns into rows.
    class_indices : ndarray of shape (n,)
        Index of each sample's class in `schema.labels`.
    schema : Schema
        What samples and labels look like.
    path : Path or None
        The folder, where there is one.

    Examples
    --------
    >>> from ganaug import ConditionalGAN
    >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
    >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
    >>> bank = SampleBank.from_gan(gan, {0: 5, 1: 10})
    >>> len(bank), bank.counts
    (15, {0: 5, 1: 10})
    """

    def __init__(
        self,
        samples: Rows | Shards,
        class_indices: Rows,
        schema: Schema,
        *,
        path: Path | None = None,
    ):
        self.samples, self.class_indices, self.schema, self.path = (
            samples,
            class_indices,
            schema,
            path,
        )

    def __len__(self) -> int:
        return len(self.class_indices)

    @property
    def counts(self) -> dict[Any, int]:
        """Number of samples of each class, by label."""
        found = np.bincount(self.class_indices, minlength=len(self.schema.labels))
        return dict(zip(self.schema.labels.tolist(), found.tolist(), strict=True))

    @classmethod
    def from_gan(
        cls,
        gan: "ConditionalGAN",
        counts: int | Mapping[Any, int],
        *,
        path: str | Path | None = None,
        truncation: float | None = None,
        random_state: Seed = None,
        on_progress: OnProgress | None = None,
        shard_rows: int | None = None,
    ) -> "SampleBank":
        """Return a bank with samples drawn from a fitted generator.

        Parameters
        ----------
        gan : ConditionalGAN
            A fitted generator.
        counts : int or dict of {class: int}
            How many, per class.
        path : str, Path or None
            A new or empty folder to which samples are written as they are drawn, so that only a few
            hundred are in memory at a time; it appears whole or not at all. None keeps them in memory.
        truncation : float or None
            As in `ConditionalGAN.generate`, whose samples these are.
        random_state : int, RandomState, Generator or None
            Likewise.
        on_progress : callable or None
            Called with (samples done, samples in all).
        shard_rows : int or None
            Samples per file; None makes files of 256 MB.

        Returns
        -------
        SampleBank
            Memory-mapped, where there is a path.

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        OSError
            If the disk has no room for that many samples.

        Examples
        --------
        >>> import tempfile
        >>> from ganaug import ConditionalGAN
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat([0, 1], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     SampleBank.from_gan(gan, 1000, path=folder).samples.shape
        (2000, 3)
        """
        folder = None if path is None else empty_folder(path)
        schema = gan.schema_
        stream = iter(gan.stream(counts, truncation=truncation, random_state=random_state))
        first = list(islice(stream, 1))  # by now the generator has checked the counts
        n = sum(counts.values()) if isinstance(counts, Mapping) else counts * len(schema.labels)
        none = _values(schema, schema.decode_X(torch.empty(0, *schema.codec.shape)))
        shape = (int(n), *none.shape[1:])
        rows = ((_values(schema, X), np.asarray(c)) for X, c in chain(first, stream))
        if folder is not None:
            write_bank(folder, schema, rows, shape, none.dtype, shard_rows, on_progress)
            return cls.open(folder, verify=False)
        samples, classes, done = np.empty(shape, none.dtype), np.empty(n, np.int64), 0
        for X, c in rows:
            samples[done : done + len(c)], classes[done : done + len(c)] = X, c
            done += len(c)
            if on_progress is not None:
                on_progress(done, len(classes))
        return cls(samples, classes, schema)

    def save(self, path: str | Path, *, shard_rows: int | None = None) -> "SampleBank":
        """Write the bank to a new folder and return it memory-mapped from there.

        Parameters
        ----------
        path : str or Path
            A new or empty folder; it appears whole or not at all.
        shard_rows : int or None
            Samples per file; None makes files of 256 MB.

        Returns
        -------
        SampleBank

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        OSError
            If the disk has no room for the samples.
        """
        folder, samples = empty_folder(path), self.samples
        rows = ((samples[piece], self.class_indices[piece]) for piece in pieces(samples))
        write_bank(folder, self.schema, rows, samples.shape, samples.dtype, shard_rows)
        return SampleBank.open(folder, verify=False)

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> "SampleBank":
        """Map a bank from its folder after checking it against its manifest.

        Parameters
        ----------
        path : str or Path
            A folder that `save` or `from_gan` wrote.
        verify : bool, default=True
            Whether to read all files for their sha256 sums, beyond their sizes, dtypes and counts.

        Returns
        -------
        SampleBank

        Raises
        ------
        CheckpointError
            If a file is missing, changed, or of another format.
        """
        folder = Path(path)
        return cls(*read_bank(folder, verify=verify), path=folder)

    def export(self, path: str | Path) -> Path:
        """Write plain files: ``class/00000.png`` per image, or one ``samples.csv`` for a table.

        Parameters
        ----------
        path : str or Path
            A new or empty folder; it appears whole or not at all.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        """
        folder = empty_folder(path)
        with whole_folder(folder) as unfinished:
            write_plain_files(unfinished, self.samples, self.class_indices, self.schema)
        return folder

    def __getstate__(self) -> dict[str, Any]:
        """Leave mapped arrays behind: a worker maps the file itself."""
        kept = dict(self.__dict__)
        if self.path is not None:
            del kept["samples"], kept["class_indices"]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.path is not None:
            self.samples, self.class_indices, _ = read_bank(self.path, verify=False)


def _values(schema: Schema, X: Any) -> Rows:
    """Return samples as one array of numbers; the columns of a table may differ in dtype."""
    codec = schema.codec
    if not isinstance(codec, TableCodec):
        return np.asarray(X)
    return np.asarray(X, np.result_type(*codec.dtypes)) if codec.numeric else codec.to_numbers(X)
