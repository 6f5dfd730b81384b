"""SampleBank: generated samples on disk, memory-mapped, with a manifest; and its exporters."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug._checks import empty_folder
from ganaug._random import Seed
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import CheckpointError

if TYPE_CHECKING:
    from ganaug.generator import ConditionalGAN

__all__ = ["SampleBank"]

FORMAT = 1


class SampleBank:
    """Generated samples with their classes, in memory or memory-mapped from a folder.

    The folder holds ``samples.npy`` (the caller's dtype and layout), ``classes.npy`` (class indices)
    and ``manifest.json`` (format, sha256 of both, counts, schema). Several processes can map one bank.

    Parameters
    ----------
    samples : ndarray of shape (n, ...)
        Images or rows as the codec decodes them; a DataFrame's values for tables with columns.
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
        samples: np.ndarray[Any, Any],
        class_indices: np.ndarray[Any, Any],
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
        cls, gan: "ConditionalGAN", counts: int | Mapping[Any, int], *, random_state: Seed = None
    ) -> "SampleBank":
        """Return a bank in memory with samples drawn from a fitted generator.

        Parameters
        ----------
        gan : ConditionalGAN
            A fitted generator.
        counts : int or dict of {class: int}
            How many, per class.
        random_state : int, RandomState, Generator or None
            As in `ConditionalGAN.generate`.

        Returns
        -------
        SampleBank
        """
        X, y = gan.generate(counts, random_state=random_state)
        dtypes = getattr(gan.schema_.codec, "dtypes", ())  # a DataFrame's may differ
        samples = np.asarray(X, dtype=np.result_type(*dtypes) if dtypes else None)
        return cls(samples, gan.schema_.encode_y(y).numpy(), gan.schema_)

    def save(self, path: str | Path) -> "SampleBank":
        """Write the bank to a new folder and return it memory-mapped from there.

        Parameters
        ----------
        path : str or Path
            A new or empty folder; it appears whole or not at all.

        Returns
        -------
        SampleBank

        Raises
        ------
        OutputExistsError
            If the folder is not empty.
        """
        folder = empty_folder(path)
        with _whole_folder(folder) as unfinished:
            np.save(unfinished / "samples.npy", self.samples, allow_pickle=False)
            np.save(unfinished / "classes.npy", self.class_indices, allow_pickle=False)
            manifest = {
                "format": FORMAT,
                "synthetic": True,
                "counts": {str(k): v for k, v in self.counts.items()},
                "sha256": {n: _sha256(unfinished / n) for n in ("samples.npy", "classes.npy")},
                "schema": self.schema.to_dict(),
            }
            text = json.dumps(manifest, indent=1)
            (unfinished / "manifest.json").write_text(text, encoding="utf-8")
        return SampleBank.open(folder)

    @classmethod
    def open(cls, path: str | Path) -> "SampleBank":
        """Map a bank from its folder after checking its sha256 sums.

        Parameters
        ----------
        path : str or Path
            A folder that `save` wrote.

        Returns
        -------
        SampleBank

        Raises
        ------
        CheckpointError
            If a file is missing, changed, or of another format.
        """
        folder = Path(path)
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT:
                raise CheckpointError(
                    f"{folder} has format {manifest['format']!r}; this version reads format {FORMAT}. "
                    "Open it with the version of ganaug that wrote it, or generate again."
                )
            for name, expected in manifest["sha256"].items():
                if _sha256(folder / name) != expected:
                    raise CheckpointError(f"{folder / name} differs from its manifest. Generate again.")
            schema = Schema.from_dict(manifest["schema"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder} is not a bank that ganaug saved: {error}.") from error
        return cls(*_map(folder), schema, path=folder)

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
        with _whole_folder(folder) as unfinished:
            if isinstance(self.schema.codec, TableCodec):
                self._export_table(unfinished / "samples.csv", self.schema.codec)
            else:
                self._export_images(unfinished)
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
            self.samples, self.class_indices = _map(self.path)

    def _export_images(self, folder: Path) -> None:
        from PIL import Image

        pixels = self.schema.codec.encode(self.samples).float().add(1).mul(127.5).round()
        images = pixels.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        for index, folder_name in enumerate(_folder_names(self.schema.names)):
            (folder / folder_name).mkdir()
            for number, row in enumerate(np.flatnonzero(self.class_indices == index)):
                image = Image.fromarray(images[row].squeeze(-1) if images.shape[-1] == 1 else images[row])
                image.save(folder / folder_name / f"{number:05d}.png")

    def _export_table(self, file: Path, codec: TableCodec) -> None:
        import pandas as pd

        columns = codec.columns or [f"x{i}" for i in range(codec.shape[0])]
        frame = pd.DataFrame(self.samples, columns=pd.Index(columns))
        frame = frame.astype(dict(zip(columns, codec.dtypes, strict=True)))
        target = self.schema.y_name or "target"
        while target in columns:
            target += "_"
        frame[target] = self.schema.labels[self.class_indices]
        frame.to_csv(file, index=False)


class _whole_folder:
    """A folder under a temporary name that takes its own name when everything was written."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.unfinished = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}."))
        return self.unfinished

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            shutil.rmtree(self.unfinished)
            return
        self.unfinished.chmod(0o755)
        if self.folder.is_dir():
            self.folder.rmdir()
        os.replace(self.unfinished, self.folder)


def _map(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    samples, classes = (
        np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in ("samples.npy", "classes.npy")
    )
    return samples, classes


def _sha256(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _folder_names(names: tuple[str, ...]) -> list[str]:
    """Return one safe, distinct folder name per class."""
    safe = [re.sub(r"[^\w\- ]+", "_", name).strip() or "_" for name in names]
    distinct = len({s.lower() for s in safe}) == len(safe)
    return safe if distinct else [f"{i}-{s}" for i, s in enumerate(safe)]
