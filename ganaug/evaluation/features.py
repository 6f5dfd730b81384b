"""Where distances between samples mean something: a random network, and one trained on the real samples."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ganaug._random import torch_stream
from ganaug.errors import DataError
from ganaug.evaluation.probe import Probe, train_probe

__all__ = ["ClassifierFeatures", "RandomFeatures"]

CHUNK = 512
WIDTHS = (16, 24, 24)
N_RANDOM = 64


class RandomFeatures:
    """Features of a fixed random network: nothing is trained, nothing is downloaded.

    Random features rank generators much as trained ones do and are free of the classes of any data set
    (2208.09218). Images pass three convolutional stages; each gives the mean and the standard deviation
    of its channels, 128 numbers in all, brought to one scale by smooth random images. A table's rows are
    kept as they are, so that no column is lost, beside 64 random ReLU units that see columns together.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample: (channels, height, width) of at least 4 pixels, or (n_features,).
    seed : int, default=0
        Same seed, same network.

    Examples
    --------
    >>> features = RandomFeatures((3, 8, 8))
    >>> features(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 128])
    """

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.shape = tuple(shape)
        generator = torch_stream(seed, "random features")
        if len(self.shape) == 1:
            self._stages = [_weights((N_RANDOM, *self.shape), generator)]
            return
        sizes = zip((self.shape[0], *WIDTHS), WIDTHS, strict=False)
        self._stages = [_weights((n_out, n_in, 3, 3), generator) for n_in, n_out in sizes]
        self._mean, self._std = torch.zeros(()), torch.ones(())
        features = self(_smooth_images(self.shape, generator))
        self._mean, self._std = features.mean(0), features.std(0).clamp(min=1e-6)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return features (n, d) in float32 for samples x (n, *shape)."""
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"x must have shape (n, {str(self.shape)[1:-1]}); got {tuple(x.shape)}.")
        embed = self._embed_rows if len(self.shape) == 1 else self._embed_images
        return torch.cat([embed(chunk.float()) for chunk in x.split(CHUNK)])

    def _embed_rows(self, x: Tensor) -> Tensor:
        weight, bias = self._stages[0]
        return torch.cat([x, F.relu(F.linear(x, weight, bias))], 1)

    def _embed_images(self, x: Tensor) -> Tensor:
        pooled = []
        for i, (weight, bias) in enumerate(self._stages):
            stride = 1 if i == 0 and min(self.shape[1:]) < 16 else 2
            x = F.leaky_relu(F.conv2d(x, weight, bias, stride=stride, padding=1), 0.2)
            pooled += [x.mean((2, 3)), x.std((2, 3), correction=0)]
        return (torch.cat(pooled, 1) - self._mean) / self._std


class ClassifierFeatures:
    """Features of a small classifier trained on the real samples, each with mean 0 and variance 1 there.

    They weigh what tells the classes apart and little else, which complements `RandomFeatures`. Make one
    with `fit`.
    """

    def __init__(self, probe: Probe, mean: Tensor, std: Tensor) -> None:
        self._probe = probe
        self._mean = mean
        self._std = std

    @classmethod
    def fit(
        cls, x: Tensor, c: Tensor, n_classes: int, *, steps: int = 400, seed: int = 0
    ) -> "ClassifierFeatures":
        """Train the classifier, without augmentation, and note the scale of its features.

        Parameters
        ----------
        x : Tensor of shape (n, *shape)
            Real samples: images (channels, height, width) in [-1, 1], or rows (n_features,).
        c : Tensor of shape (n,)
            Class indices, int64.
        n_classes : int
            Number of classes.
        steps : int, default=400
            Number of batches of 64.
        seed : int, default=0
            Weights and batches depend on it alone; the global generator is left as it was.

        Returns
        -------
        ClassifierFeatures
            A function from samples to features (n, 64), with `predict`.

        Examples
        --------
        >>> x, c = torch.tensor([[-1.0], [1.0]]).repeat(20, 1), torch.tensor([0, 1]).repeat(20)
        >>> features = ClassifierFeatures.fit(x, c, 2, steps=20)
        >>> features(x).shape, features.predict(x[:2])
        (torch.Size([40, 64]), tensor([0, 1]))
        """
        probe = train_probe(x, c, n_classes, steps=steps, seed=seed)
        features = probe.embed(x)
        std = features.std(0, correction=0)
        return cls(probe, features.mean(0), std.clamp(min=max(1e-6, 0.1 * float(std.mean()))))

    def __call__(self, x: Tensor) -> Tensor:
        """Return standardised features (n, 64) for samples x (n, *shape)."""
        return (self._probe.embed(x) - self._mean) / self._std

    def predict(self, x: Tensor) -> Tensor:
        """Return class indices (n,) for samples x (n, *shape)."""
        return self._probe.predict(x)


def _weights(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return He-normal weights and small biases."""
    weight = torch.randn(shape, generator=generator) * (2 / torch.Size(shape[1:]).numel()) ** 0.5
    return weight, 0.1 * torch.randn(shape[0], generator=generator)


def _smooth_images(shape: tuple[int, ...], generator: torch.Generator, n: int = 512) -> Tensor:
    """Return smooth random images in (-1, 1), the second half of them also noisy."""
    coarse = torch.randn(n, shape[0], 3, 3, generator=generator)
    x = 1.5 * F.interpolate(coarse, size=shape[1:], mode="bilinear", align_corners=False)
    x[n // 2 :] += 0.3 * torch.randn(n // 2, *shape, generator=generator)
    return x.tanh()
