"""G and D: shapes, ranges, the condition, spectral norm, size as a number."""

import pytest
import torch
from torch import nn

from ganaug.networks import NETWORKS
from ganaug.networks.blocks import ProjectionHead

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 9, 13), (3, 28, 28), (1, 17, 40), (3, 32, 20), (1, 64, 64), (3, 8, 64)]
N_CLASSES, Z_DIM = 3, 5


def build(name: str, shape: tuple[int, ...], width: int = 4) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NETWORKS[name](shape=shape, n_classes=N_CLASSES, z_dim=Z_DIM, width=width)


def noise(n: int = 6) -> torch.Tensor:
    return torch.randn(n, Z_DIM, generator=torch.Generator().manual_seed(1))


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


CASES = [("resnet", s) for s in SHAPES] + [("mlp", s) for s in (*SHAPES[:4], (1,), (7,), (40,))]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_g_makes_samples_of_the_asked_shape_in_range_and_d_one_logit_each(name, shape) -> None:
    G, D = build(name, shape)
    c = torch.arange(6) % N_CLASSES
    x = G(noise(), c)
    assert x.shape == (6, *shape)
    assert x.abs().max() <= 1
    assert x.std() > 0
    assert D(x, c).shape == (6,)


@pytest.mark.parametrize("name", NETWORKS)
def test_noise_and_class_change_the_sample(name: str) -> None:
    G, _ = build(name, (1, 12, 12))
    G.eval()
    same_c, same_z = torch.zeros(6, dtype=torch.long), noise(1).expand(3, -1)
    by_noise = G(noise(), same_c)
    by_class = G(same_z, torch.arange(3))
    assert len({tuple(x.flatten().tolist()) for x in by_noise}) == 6
    assert (by_class[0] - by_class[1]).abs().max() > 1e-3
    assert (by_class[1] - by_class[2]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_the_class_changes_the_logit_of_one_sample(name: str) -> None:
    _, D = build(name, (1, 12, 12))
    x = torch.rand(1, 1, 12, 12).expand(3, -1, -1, -1) * 2 - 1
    D.eval()
    assert len(set(D(x, torch.arange(3)).tolist())) == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_each_parameter_of_both_players_gets_a_gradient(name: str) -> None:
    G, D = build(name, (3, 16, 16))
    c = torch.arange(6) % N_CLASSES
    D(G(noise(), c), c).sum().backward()
    for player in (G, D):
        without = [n for n, p in player.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        without = [n for n in without if not n.endswith("bias")]  # a norm may follow and cancel a bias
        assert without == []


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_d_has_a_largest_singular_value_of_one(name: str) -> None:
    _, D = build(name, (3, 16, 16))
    layers = [m for m in D.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) >= 4
    for layer in layers:
        layer.train()
        for _ in range(100):
            layer.weight  # noqa: B018  (a step of the power iteration)
        layer.eval()
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.03)


def test_the_projection_head_adds_the_class_to_a_linear_logit() -> None:
    head = ProjectionHead(4, 3).eval()
    h, c = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    w, b, v = head.linear.weight, head.linear.bias, head.embed.weight
    expected = torch.stack([w[0] @ h[i] + b[0] + v[c[i]] @ h[i] for i in range(5)])
    torch.testing.assert_close(head(h, c), expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_width_is_a_number_that_scales_both_players(name: str) -> None:
    small, large = build(name, (1, 16, 16), width=4), build(name, (1, 16, 16), width=16)
    for few, many in zip(small, large, strict=True):
        assert 3 < n_parameters(many) / n_parameters(few) < 16


def test_the_mlp_is_the_classical_pair_without_a_width() -> None:
    G, D = NETWORKS["mlp"](shape=(10,), n_classes=2, z_dim=8)
    linear = [[m.out_features for m in p.modules() if isinstance(m, nn.Linear)] for p in (G, D)]
    assert linear == [[256, 512, 1024, 10], [1024, 512, 256, 1]]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_does_not_depend_on_its_batch_when_generating(name: str) -> None:
    G, _ = build(name, (1, 12, 12))
    G.eval()
    c = torch.arange(6) % N_CLASSES
    torch.testing.assert_close(G(noise(), c)[2:3], G(noise()[2:3], c[2:3]), atol=1e-6, rtol=1e-5)
