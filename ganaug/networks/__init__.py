"""G and D: `NETWORKS` maps a name to a function that builds both from plain sizes."""

from collections.abc import Callable

from torch import nn

from ganaug.networks.mlp import mlp
from ganaug.networks.resnet import resnet

__all__ = ["NETWORKS", "NetworkPair", "mlp", "resnet"]

NetworkPair = Callable[..., tuple[nn.Module, nn.Module]]
"""Called as pair(shape=, n_classes=, z_dim=, width=); returns G(z, c) and D(x, c)."""

NETWORKS: dict[str, NetworkPair] = {"mlp": mlp, "resnet": resnet}
