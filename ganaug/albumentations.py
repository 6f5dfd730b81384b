"""SyntheticSwap as a transform of albumentations: real images make room for synthetic ones of their class.

Import this module before ``albumentations.load`` or ``from_dict`` open a pipeline that holds the transform.
"""

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a new version

import albumentations as A

from ganaug._checks import listed
from ganaug.bank import SampleBank
from ganaug.data.images import ImageCodec
from ganaug.errors import CheckpointError, DataError
from ganaug.manifest import MANIFEST
from ganaug.shards import Rows

__all__ = ["SyntheticSwap"]

OF_THE_REAL_IMAGE = {"mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints"}


class SyntheticSwap(A.ImageOnlyTransform):
    """Replace an image by a synthetic one of the same class, with probability p.

    It comes first in a ``Compose``: images must have the size and dtype of those in the bank. The label goes
    in beside the image, ``transform(image=image, label=label)``, and comes out unchanged.

    Parameters
    ----------
    bank : str or Path
        Folder of a `SampleBank` of images. Each process maps it for itself.
    label_key : str, default="label"
        Name under which the label comes: the label itself, the text of it, or the name of the class.
    p : float, default=0.5
        Probability of the swap.
    sha256 : str or None, default=None
        Digest of the bank's manifest, which ``to_dict`` records so that another bank is refused. None takes
        the bank as it is, after reading all its files for their own sums.

    Raises
    ------
    CheckpointError
        If the folder holds no bank, a damaged one, or another one than `sha256` says.
    DataError
        If it is a bank of table rows. On a call that swaps: if there is no label, the image differs from
        those of the bank in size or dtype, the bank has no sample of its class, or masks, boxes or key points
        come with it.
    KeyError
        On a call that swaps: if the label is of no class of the bank.

    Notes
    -----
    Workers of a ``DataLoader`` are copies, and albumentations 2.0.8 leaves each with the same random stream:
    all of them make the same choices, in every epoch again. Seed the workers of your own data set (an
    `AugmentedDataset` does without: it seeds its transforms, and swaps by itself with `swap`)::

        def seed_worker(_):
            info = torch.utils.data.get_worker_info()
            streams = np.random.default_rng(info.seed), random.Random(info.seed)
            info.dataset.transform.set_random_state(*streams)

        DataLoader(dataset, num_workers=2, worker_init_fn=seed_worker)

    (``set_random_seed``, and the `seed` of a ``Compose``, give each of its transforms the same stream: those
    of one probability are then all applied, or none of them.)

    ``ReplayCompose`` records the row of the bank: a replay gives the same synthetic image, whatever label it
    is given.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_digits
    >>> from ganaug import ConditionalGAN
    >>> digits = load_digits()
    >>> images = digits.images.astype("uint8")
    >>> gan = ConditionalGAN(train_images=64, random_state=0).fit(images, digits.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = SampleBank.from_gan(gan, 5, path=folder)
    ...     transform = A.Compose([SyntheticSwap(folder, p=1.0), A.HorizontalFlip(p=0.5)], seed=0)
    ...     swapped = transform(image=images[0], label=0)
    >>> swapped["image"].shape, swapped["image"].dtype, swapped["label"]
    ((8, 8), dtype('uint8'), 0)
    """

    class InitSchema(A.ImageOnlyTransform.InitSchema):
        """What albumentations checks the arguments against."""

        bank: str | Path
        label_key: str
        sha256: str | None

    def __init__(
        self, bank: str | Path, label_key: str = "label", p: float = 0.5, *, sha256: str | None = None
    ):
        super().__init__(p=p)
        self.bank, self.label_key = str(bank), label_key
        if sha256 is None:
            SampleBank.open(self.bank)  # reads everything, once
        self.sha256 = sha256 or self._digest()
        self._opened  # noqa: B018 (a wrong bank is found now, not in the middle of a training)

    @property
    def available_keys(self) -> set[str]:
        """What a call may come with: ``Compose(strict=True)`` refuses other keys."""
        return {*self._available_keys, self.label_key}

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Return the row of the bank that takes the place of the image."""
        others = [k for k in data if k in OF_THE_REAL_IMAGE or (k in self._key2func and k != "image")]
        if others:
            raise DataError(
                f"SyntheticSwap replaces the one image of a call; {listed(others)} would stay that of the "
                "real one. Leave the transform out of this pipeline."
            )
        if self.label_key not in data:
            raise DataError(
                f"SyntheticSwap needs the label of the image as {self.label_key!r}; got {listed(data)}. Call "
                f"transform(image=image, {self.label_key}=label), or set label_key."
            )
        bank, rows, starts, sizes = self._opened
        label = data[self.label_key]
        k = bank.schema.class_index(label.item() if getattr(label, "ndim", None) == 0 else label)
        if not sizes[k]:
            raise DataError(
                f"{self.bank} has no sample of class {label!r}. Generate some, or leave its images out."
            )
        return {"row": int(rows[starts[k] + self.random_generator.integers(sizes[k])])}

    def apply(self, img: Rows, row: int, **params: Any) -> Rows:
        """Return the synthetic image of a row, in the form of the real one."""
        bank = self._opened[0]
        made, codec = np.array(bank.samples[row]), bank.schema.codec
        if isinstance(codec, ImageCodec) and codec.layout == "nchw":
            made = np.ascontiguousarray(np.moveaxis(made, 0, -1))
        if (_with_channels(img).shape, img.dtype) != (_with_channels(made).shape, made.dtype):
            raise DataError(
                f"images must be like those of {self.bank}, {made.shape} {made.dtype}; got {img.shape} "
                f"{img.dtype}. Put SyntheticSwap before what changes size or dtype (Resize, Normalize, "
                "ToFloat), and fit the generator on images as they come."
            )
        return made.reshape(img.shape)

    @cached_property
    def _opened(self) -> tuple[SampleBank, Rows, Rows, Rows]:
        """The bank, its rows ordered by class, where each class begins there, and its size."""
        bank = SampleBank.open(self.bank, verify=False)
        if (found := self._digest()) != self.sha256:
            raise CheckpointError(
                f"{self.bank} is another bank than the one that this transform was made with: its manifest "
                f"has the sha256 {found}, not {self.sha256}. Put that bank there, or leave sha256 out."
            )
        if bank.schema.kind != "image":
            raise DataError(
                f"bank must hold images; {self.bank} holds rows of a table. Use ganaug.GANOverSampler or "
                "ganaug.SyntheticSwap for tables."
            )
        sizes = np.bincount(bank.class_indices, minlength=len(bank.schema.labels))
        return bank, np.argsort(bank.class_indices, kind="stable"), np.cumsum(sizes) - sizes, sizes

    def _digest(self) -> str:
        return hashlib.sha256((Path(self.bank) / MANIFEST).read_bytes()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped bank behind: another process maps it for itself."""
        return {k: v for k, v in self.__dict__.items() if k != "_opened"}


def _with_channels(image: Rows) -> Rows:
    return image[:, :, None] if image.ndim == 2 else image
