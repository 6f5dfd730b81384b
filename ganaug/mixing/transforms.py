"""Transforms of samples, whose random choices derive from a seed per sample."""

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganaug.errors import DataError

INCREMENT = np.random.PCG64(0).state["state"]["inc"]


class TorchTransform:
    """A callable that draws from torch's generator, as torchvision's transforms do.

    With seeds, that generator is set for each sample and given back as it was.
    """

    def __init__(self, transform: Callable[[Any], Any]):
        self.transform = transform

    def input(self, x: Any) -> Any:
        """Return a sample as it is."""
        return x

    def __call__(self, samples: Sequence[Any], seeds: Sequence[int] | None) -> list[Any]:
        """Return the samples transformed, each with its seed, or as torch's generator has it."""
        if seeds is None:
            return [self.transform(x) for x in samples]
        done = []
        with torch.random.fork_rng(devices=[]):
            for x, seed in zip(samples, seeds, strict=True):
                torch.default_generator.manual_seed(seed)
                done.append(self.transform(x))
        return done


class AlbumentationsTransform:
    """A transform of albumentations, called with arrays.

    Its own generators are copied into each worker of a DataLoader, where all of them draw the same numbers,
    in each epoch again (albumentations 2.0.8), so they are set for each sample. The transforms of a Compose
    share them: after ``set_random_seed``, those of one probability would all be applied, or none of them.
    """

    def __init__(self, transform: Any):
        self.transform = copy.deepcopy(transform)  # the caller's own keeps its generators
        self._numpy, self._python = np.random.Generator(np.random.PCG64(0)), random.Random(0)

    def input(self, x: Any) -> Any:
        """Return a sample as an array."""
        if isinstance(x, Tensor):
            raise DataError(
                "albumentations needs images or arrays (height, width, channels); the real data set yields "
                "tensors. Leave ToTensor out of it, or use torchvision.transforms.v2."
            )
        return x if isinstance(x, np.ndarray) else np.array(x)

    def __call__(self, samples: Sequence[Any], seeds: Sequence[int] | None) -> list[Any]:
        """Return the samples transformed, each with its seed, or with one from torch's generator."""
        if seeds is None:
            seeds = torch.randint(2**62, (len(samples),)).tolist()
        done = []
        for x, seed in zip(samples, seeds, strict=True):
            self._set(seed)
            done.append(self.transform(image=self.input(x))["image"])
        return done

    def _set(self, seed: int) -> None:
        self._python.seed(seed)
        self._numpy.bit_generator.state = {
            "bit_generator": "PCG64",
            "state": {"state": self._python.getrandbits(128), "inc": INCREMENT},
            "has_uint32": 0,
            "uinteger": 0,
        }
        self.transform.set_random_state(self._numpy, self._python)


def item_transform(transform: Any) -> TorchTransform | AlbumentationsTransform:
    """Return a transform of samples, told apart without loading albumentations."""
    kinds = type(transform).__mro__
    of_albumentations = any(kind.__module__.split(".")[0] == "albumentations" for kind in kinds)
    return AlbumentationsTransform(transform) if of_albumentations else TorchTransform(transform)
