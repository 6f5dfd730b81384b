"""G and D: `NETWORKS` maps a name to a function that builds both from plain sizes."""

from collections.abc import Callable
from functools import partial

from torch import nn

from ganaug.networks.conditioning import CONDITIONING, PROJECTION, Answer, Conditioning
from ganaug.networks.dcgan import dcgan
from ganaug.networks.mlp import mlp
from ganaug.networks.r3gan import r3gan
from ganaug.networks.residual_mlp import residual_mlp
from ganaug.networks.resnet import resnet
from ganaug.networks.rows import RowHead
from ganaug.networks.style import style

__all__ = [
    "CONDITIONING",
    "NETWORKS",
    "PROJECTION",
    "TABLE_NETWORKS",
    "Answer",
    "Conditioning",
    "NetworkPair",
    "RowHead",
    "dcgan",
    "mlp",
    "r3gan",
    "residual_mlp",
    "resnet",
    "style",
]

NetworkPair = Callable[..., tuple[nn.Module, nn.Module]]
"""Called as pair(shape=, n_classes=, z_dim=, width=, conditioning=), for tables also with the layout of a
row, blocks=; returns G(z, c) and D(x, c)."""

NETWORKS: dict[str, NetworkPair] = {
    "residual-mlp": residual_mlp,
    "mlp": mlp,
    "dcgan": dcgan,
    "resnet": resnet,
    "resnet-attention": partial(resnet, attention=True),
    "r3gan": r3gan,
    "style": style,
    "style-growing": partial(style, grow_images=20_000),
}
"""Every pair by name."""

TABLE_NETWORKS = ("residual-mlp", "mlp")
"""Those that make rows of a table, too."""
