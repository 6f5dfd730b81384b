"""A labelled data set in numbered .npy files, x*.npy and y*.npy, whose images stay there."""

import re
from pathlib import Path

import numpy as np

from ganaug._checks import listed
from ganaug.errors import DataError
from ganaug.shards import Rows, Shards

__all__ = ["holds_shards", "read_shards"]


def holds_shards(folder: Path) -> bool:
    """Return whether a folder holds .npy files of samples."""
    return bool(_numbered(folder, "x"))


def read_shards(folder: Path) -> tuple[Shards, Rows]:
    """Return the samples of a folder, which stay in their files, and the label of each.

    Parameters
    ----------
    folder : Path
        With files ``x*.npy`` of samples (n, ...), which are read in the order of the numbers in their names,
        and ``y*.npy`` of labels (n,): one of the same name for each of them, or one for all.

    Returns
    -------
    samples : Shards of shape (n, ...)
    labels : ndarray of shape (n,)

    Raises
    ------
    DataError
        If a file is damaged or none of .npy, or shapes and numbers do not fit; it is named. If names of
        samples differ in words, such as ``x_train.npy`` and ``x_test.npy``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(3):
    ...         np.save(Path(folder) / f"x-{i}.npy", np.full((4, 8, 8), i, np.uint8))
    ...     np.save(Path(folder) / "y.npy", np.arange(12) % 2)
    ...     x, y = read_shards(Path(folder))
    ...     x.shape, int(x[5][0, 0]), y[:3].tolist()
    ((12, 8, 8), 1, [0, 1, 0])
    """
    xs, ys = _numbered(folder, "x"), _numbered(folder, "y")
    if len({re.sub(r"[\W\d_]", "", x.stem[1:]) for x in xs}) > 1:
        raise DataError(
            f"{folder} must hold one set of samples, in files whose names differ in a number; it has "
            f"{listed([x.name for x in xs])}. Move what is to be held out (and its labels) to another folder."
        )
    if [y.name for y in ys] != ["y.npy"] and [y.name[1:] for y in ys] != [x.name[1:] for x in xs]:
        raise DataError(
            f"{folder} must hold labels as y.npy, or as a y*.npy for each of its {len(xs)} x*.npy; it has "
            f"{listed([y.name for y in ys]) or 'none'} beside {listed([x.name for x in xs])}."
        )
    try:
        samples = Shards(xs)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    labels = []
    for file in ys:
        try:
            labels.append(np.load(file, allow_pickle=False))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{file} must hold labels in an array without Python objects: {error}") from error
    wanted = [len(samples)] if len(ys) == 1 else np.diff(samples.ends, prepend=0).tolist()
    for file, y, n in zip(ys, labels, wanted, strict=True):
        if y.shape != (n,):
            raise DataError(f"{file} must hold a label for each of {n} samples; got shape {y.shape}.")
    return samples, np.concatenate(labels)


def _numbered(folder: Path, letter: str) -> list[Path]:
    """Return the files of a letter, 2 before 10."""
    found = [file for file in folder.glob("*.npy") if file.name[0] in (letter, letter.upper())]
    return sorted(found, key=lambda f: [int(t) if t.isdigit() else t for t in re.split(r"(\d+)", f.name)])
