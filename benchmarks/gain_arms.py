"""Arms and classifiers of gain.py that the package does not name, as a user would write them."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from ganaug.experiment.arms import ARMS, Arm

__all__ = ["CLASSIFIERS", "LEVERS"]


def strided(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a convolutional network that halves the sides at once, a third of the cost of "cnn"."""

    def block(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(n_out), nn.LeakyReLU(0.1)]

    first = 1 if min(shape[1:]) < 16 else 2
    network = nn.Sequential(
        *block(shape[0], 32, first),
        *block(32, 32, 1),
        *block(32, 64, 2),
        *block(64, 64, 1),
        *block(64, 128, 2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(512, n_classes),
    )
    return network.to(memory_format=torch.channels_last)


CLASSIFIERS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"strided": strided}

_PSEUDO, _TABLE_PSEUDO = ARMS["classic + pseudo-labels"], ARMS["pseudo-labels"]
_CLASSIC, _GAN = ARMS["classic"], ARMS["gan + classic"]

LEVERS: dict[str, Arm] = {
    "classic + class weights": replace(_CLASSIC, extra=None, class_weights=True),
    "even gan + classic": replace(_GAN, place="even", dose=0.3),
    "even classic": replace(_CLASSIC, place="even", dose=0.3),
    "pseudo-labels + mixes": replace(_TABLE_PSEUDO, complement="mixes"),
    "pseudo-labels + complement": replace(_TABLE_PSEUDO, role="treatment", complement="generator"),
}
