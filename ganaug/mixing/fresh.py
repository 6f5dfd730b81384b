"""FreshBanks: a new bank for each epoch, drawn from a live generator."""

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganaug._random import derive
from ganaug.bank import SampleBank
from ganaug.errors import ConfigError
from ganaug.generator import ConditionalGAN
from ganaug.manifest import MANIFEST


class FreshBanks:
    """Banks in a temporary folder, one for each epoch; only the last one that was drawn is kept.

    They are drawn where `draw` is called, on the generator's own device, and read by any process: a worker
    of a DataLoader would need the generator, could not use a GPU after a fork, and would draw most samples
    that the other workers draw too. Pickled, the generator stays behind.
    """

    def __init__(self, gan: ConditionalGAN, counts: Mapping[Any, int], *, seed: int):
        self.gan: ConditionalGAN | None = gan
        self.counts, self.seed = counts, seed
        self.folder = Path(tempfile.mkdtemp(prefix="ganaug-"))
        weakref.finalize(self, _remove, self.folder, os.getpid())

    def draw(self, epoch: int) -> None:
        """Draw the samples of an epoch, which derive from (seed, epoch) alone, unless they are there."""
        folder = self.folder / str(epoch)
        if (folder / MANIFEST).exists():
            return
        if self.gan is None:
            raise ConfigError(
                "fresh samples are drawn by the data set that was made first; this is a copy. Call "
                "set_epoch on that one, or make a new data set."
            )
        shutil.rmtree(folder, ignore_errors=True)  # of a drawing that was interrupted
        before, seed = list(self.folder.iterdir()), derive(self.seed, "fresh", epoch)
        SampleBank.from_gan(self.gan, self.counts, path=folder, random_state=seed)
        for old in before:
            shutil.rmtree(old)

    def bank(self, epoch: int) -> SampleBank:
        """Open the bank of an epoch that was drawn."""
        return SampleBank.open(self.folder / str(epoch), verify=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "gan": None}


def _remove(folder: Path, owner: int) -> None:
    """Remove the folder, unless this is a fork of the process that owns it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
