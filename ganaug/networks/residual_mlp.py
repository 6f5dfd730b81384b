"""A fully connected pair with skip connections, for the rows of tables."""

import math

import torch
from torch import Tensor, nn

from ganaug.networks.conditioning import PROJECTION, Answer, Conditioning
from ganaug.networks.rows import RowHead

DEPTH = 2


class ResidualLayer(nn.Module):
    """h + W act(norm(h)), width unchanged."""

    def __init__(self, width: int, *, norm: bool):
        super().__init__()
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.linear = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.linear(nn.functional.leaky_relu(self.norm(h), 0.2))
        return out


class ResidualGenerator(nn.Module):
    """Map noise z (n, z_dim) and classes c (n,) to rows (n, *shape)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        n_classes: int,
        z_dim: int,
        width: int,
        conditioning: Conditioning,
        blocks: tuple[int, ...],
    ):
        super().__init__()
        self.shape = tuple(shape)
        self.embed = conditioning.embedding(n_classes, z_dim)
        self.enter = nn.Linear(2 * z_dim, width)
        self.hidden = nn.Sequential(*(ResidualLayer(width, norm=True) for _ in range(DEPTH)))
        self.leave = nn.Sequential(
            nn.BatchNorm1d(width), nn.LeakyReLU(0.2), nn.Linear(width, math.prod(self.shape))
        )
        self.head = RowHead(blocks or [1] * math.prod(self.shape))

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        h = self.enter(torch.cat([z, self.embed(c)], dim=1))
        x: Tensor = self.head(self.leave(self.hidden(h))).unflatten(1, self.shape)
        return x


class ResidualDiscriminator(nn.Module):
    """Map rows (n, *shape) and classes c (n,) to the answer of the head."""

    def __init__(self, *, shape: tuple[int, ...], n_classes: int, width: int, conditioning: Conditioning):
        super().__init__()
        self.enter = nn.Linear(math.prod(shape), width)
        self.hidden = nn.Sequential(*(ResidualLayer(width, norm=False) for _ in range(DEPTH)))
        self.head = conditioning.head(width, n_classes)

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        h = nn.functional.leaky_relu(self.hidden(self.enter(x.flatten(1))), 0.2)
        answer: Tensor | Answer = self.head(h, c)
        return answer


def residual_mlp(
    *,
    shape: tuple[int, ...],
    n_classes: int,
    z_dim: int,
    width: int | None = None,
    conditioning: Conditioning = PROJECTION,
    blocks: tuple[int, ...] = (),
) -> tuple[nn.Module, nn.Module]:
    """Return a fully connected pair with skip connections, the default for tables.

    Parameters
    ----------
    shape : tuple of int
        Shape of one sample: (n_numbers,), or (channels, height, width).
    n_classes : int
        Number of classes.
    z_dim : int
        Length of the noise vector, and of the class embedding.
    width : int, default=128
        Every hidden layer of both.
    conditioning : Conditioning, default=Projection()
        How the class enters both players.
    blocks : tuple of int, default=()
        Widths of the blocks of a row, see `RowHead`; () is scalars throughout.

    Returns
    -------
    G, D : Module
        G(z, c) to rows; D(x, c) to logits.

    References
    ----------
    Gorishniy et al., 2106.11959 (residual networks on tables).

    Examples
    --------
    >>> G, D = residual_mlp(shape=(5,), n_classes=2, z_dim=8, blocks=(1, 1, 3))
    >>> x = G(torch.randn(4, 8), torch.tensor([0, 0, 1, 1]))
    >>> x.shape, x[:, 2:].sum(1).tolist()
    (torch.Size([4, 5]), [1.0, 1.0, 1.0, 1.0])
    """
    width = width or 128
    return (
        ResidualGenerator(
            shape=shape,
            n_classes=n_classes,
            z_dim=z_dim,
            width=width,
            conditioning=conditioning,
            blocks=tuple(blocks),
        ),
        ResidualDiscriminator(shape=shape, n_classes=n_classes, width=width, conditioning=conditioning),
    )
