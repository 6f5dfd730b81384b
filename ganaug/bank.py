"""SampleBank: generated samples, in memory or on disk with a manifest, memory-mapped."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ganaug._random import Seed
from ganaug.bank_folder import read_bank, read_export
from ganaug.data.plain_values import bank_values
from ganaug.data.schema import Schema
from ganaug.data.sources import open_data
from ganaug.formats import FILES
from ganaug.manifest import MANIFEST, UNFINISHED
from ganaug.shard_bucket import shard_place
from ganaug.shard_folder import OnProgress, ShardFolder
from ganaug.shard_sources import BankSamples, DrawnSamples
from ganaug.shards import Rows, Shards

if TYPE_CHECKING:
    from ganaug.generator import ConditionalGAN

__all__ = ["SampleBank"]

FILE_BYTES = 256_000_000
"""Size of the files of a bank that is saved, where no work is lost with one."""


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
        jobs: int = 1,
        resume: bool = False,
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
            hundred are in memory at a time. None keeps them in memory.
        truncation : float or None
            As in `ConditionalGAN.generate`, whose samples these are.
        random_state : int, RandomState, Generator or None
            Likewise.
        on_progress : callable or None
            Called with (samples done, samples in all).
        shard_rows : int or None
            Samples per file, in whole pieces of 256 images or 4,096 rows; None makes files of at most
            32 MB and 16,384 samples.
        jobs : int, default=1
            Processes that write to `path`; the files are the same for any number.
        resume : bool
            Go on where the same order to `path` ended early: files that are whole are not drawn again.

        Returns
        -------
        SampleBank
            Memory-mapped, where there is a path.

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        CheckpointError
            If `resume` is True and the folder holds another order, or none.
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
        wanted, seed = gan.order(counts, truncation, random_state)
        if path is not None:
            samples = DrawnSamples(gan, wanted, seed=seed, truncation=truncation, shard_rows=shard_rows)
            ShardFolder(path, samples, "bank").write(jobs=jobs, resume=resume, on_progress=on_progress)
            return cls.open(path, verify=False)
        rows = (
            (bank_values(gan.schema_, X), np.full(len(X), k, np.int64))
            for k, n in wanted
            for X in gan.draw(k, n, seed=seed, truncation=truncation)
        )
        none = bank_values(gan.schema_, gan.schema_.decode_X(torch.empty(0, *gan.schema_.codec.shape)))
        return cls._collected(rows, sum(n for _, n in wanted), none, gan.schema_, on_progress)

    @classmethod
    def from_files(
        cls, path: str | Path, *, names: Sequence[str] | None = None, target: str = "target"
    ) -> "SampleBank":
        """Read samples that `export` or ``ganaug generate`` wrote, or anybody else's, into memory.

        Parameters
        ----------
        path : str or Path
            An exported folder of any format, which is checked against its manifest; or what else
            `open_data` opens: an image folder, ``.npz``, ``.parquet``, ``.tar`` or ``.csv`` from elsewhere.
        names : sequence of str or None
            Names of the classes of files from elsewhere.
        target : str, default="target"
            Name of the label column of a table from elsewhere.

        Returns
        -------
        SampleBank
            With the labels, dtypes and values that were exported; of pictures those of at most 256 levels.

        Raises
        ------
        CheckpointError
            If an exported file is missing or differs from the manifest.
        DataError
            If a file cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from ganaug import ConditionalGAN
        >>> X = np.random.default_rng(0).normal(size=(40, 3)); y = np.repeat(["no", "yes"], 20)
        >>> gan = ConditionalGAN(train_images=128, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     new = SampleBank.from_gan(gan, 5).export(f"{folder}/new", format="parquet")
        ...     SampleBank.from_files(new).counts
        {'no': 5, 'yes': 5}
        """
        if (Path(path) / MANIFEST).exists() or (Path(path) / UNFINISHED).exists():
            rows, n, none, schema = read_export(Path(path))
            return cls._collected(rows, n, none, schema)
        source = open_data(path, target=target)
        schema = Schema.fit(source.X, source.y, names=names or source.class_names)
        return cls(bank_values(schema, source.X), schema.encode_y(source.y).numpy(), schema)

    @classmethod
    def _collected(
        cls,
        rows: Iterable[tuple[Any, Rows]],
        n: int,
        none: Rows,
        schema: Schema,
        on_progress: OnProgress | None = None,
    ) -> "SampleBank":
        """Return a bank in memory of n samples that come in pieces, like the array `none`."""
        samples, classes, done = np.empty((n, *none.shape[1:]), none.dtype), np.empty(n, np.int64), 0
        for X, c in rows:
            samples[done : done + len(c)], classes[done : done + len(c)] = X, c
            done += len(c)
            if on_progress is not None:
                on_progress(done, n)
        return cls(samples, classes, schema)

    def save(self, path: str | Path, *, shard_rows: int | None = None, resume: bool = False) -> "SampleBank":
        """Write the bank to a new folder and return it memory-mapped from there.

        Parameters
        ----------
        path : str or Path
            A new or empty folder.
        shard_rows : int or None
            Samples per file; None makes files of 256 MB.
        resume : bool
            Go on where a save of this bank ended early.

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
        if shard_rows is None:
            shard_rows = max(1, FILE_BYTES * len(self) // max(1, self.samples.nbytes))
        samples = BankSamples(self, shard_rows)
        ShardFolder(path, samples, "bank").write(resume=resume)
        return SampleBank.open(path, verify=False)

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

    def export(
        self,
        path: str | Path,
        *,
        format: str = "files",
        jobs: int = 1,
        resume: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Path | str:
        """Write the samples as files that other programs read, with a manifest of their sha256.

        Parameters
        ----------
        path : str or Path
            A new or empty folder; or a URL that fsspec knows, such as ``"s3://bucket/pets"``, for the formats
            parquet, webdataset and bank.
        format : str, default="files"
            ``"imagefolder"``: class/00000.png and metadata.csv. ``"csv"``: samples.csv. ``"npz"``: x, y
            and classes. ``"parquet"``: pictures as Hugging Face's data sets hold them, or typed columns.
            ``"webdataset"``: tar files of .png and .cls. ``"bank"``: as `save`. ``"files"`` is imagefolder or
            csv. Pictures have 8 bits: images of more than 256 levels are rounded, with a warning.
        jobs : int, default=1
            Processes; the files are the same for any number.
        resume : bool
            Go on where an export of this bank ended early.
        on_progress : callable or None
            Called with (samples done, samples in all).

        Returns
        -------
        Path or str
            The folder, or the URL.

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        ConfigError
            If there is no such format for this kind of data, or for a URL.
        OSError
            If the disk has no room for the samples.

        Notes
        -----
        In CSV files, text that a spreadsheet would take for a formula (it begins with ``=``, ``+``, ``-``,
        ``@``, a tab or a line end, and is no plain number) has a ``'`` before it, and so has text that begins
        with one; `from_files` takes it off again. An empty text and a missing cell are the same there.
        """
        layout = FILES[self.schema.kind] if format == "files" else format
        place = shard_place(path, BankSamples(self), layout)
        place.write(jobs=jobs, resume=resume, on_progress=on_progress)
        found: Path | str = place.path
        return found

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
