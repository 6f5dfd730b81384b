"""Every pair: shapes, ranges, the condition, gradients, size as a number."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganaug.errors import ConfigError
from ganaug.networks import CONDITIONING, NETWORKS, TABLE_NETWORKS, Answer
from ganaug.networks.attention import SelfAttention

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 9, 13), (3, 28, 28), (1, 17, 40), (3, 32, 20), (1, 64, 64), (3, 8, 64)]
N_CLASSES, Z_DIM = 3, 5
IMAGE_NETWORKS = [name for name in NETWORKS if name not in TABLE_NETWORKS]


def build(name: str, shape: tuple[int, ...], width: int = 4, **options) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return NETWORKS[name](shape=shape, n_classes=N_CLASSES, z_dim=Z_DIM, width=width, **options)


def noise(n: int = 6) -> torch.Tensor:
    return torch.randn(n, Z_DIM, generator=torch.Generator().manual_seed(1))


def n_parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


CASES = [(name, s) for name in IMAGE_NETWORKS for s in SHAPES]
CASES += [("mlp", s) for s in (*SHAPES[:4], (1,), (7,), (40,))]


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_g_makes_samples_of_the_asked_shape_in_range_and_d_one_logit_each(name, shape) -> None:
    G, D = build(name, shape)
    c = torch.arange(6) % N_CLASSES
    x = G(noise(), c)
    assert x.shape == (6, *shape)
    assert x.abs().max() <= 1
    assert x.std() > 0
    assert D(x, c).shape == (6,)


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_images_of_128_pixels_and_uneven_batches_work(name: str) -> None:
    G, D = build(name, (3, 128, 97), width=2)
    for n in (2, 3, 5):
        assert D(G(noise(n), torch.zeros(n, dtype=torch.long)), torch.zeros(n, dtype=torch.long)).shape == (
            n,
        )


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_a_table_is_refused_with_the_network_to_use(name: str) -> None:
    with pytest.raises(ConfigError, match=r"got \(7,\).*'mlp'"):
        build(name, (7,))


@pytest.mark.parametrize("name", NETWORKS)
def test_noise_and_class_change_the_sample(name: str) -> None:
    G, _ = build(name, (1, 12, 12))
    G.eval()
    same_c, same_z = torch.zeros(6, dtype=torch.long), noise(1).expand(3, -1)
    by_noise = G(noise(), same_c)
    by_class = G(same_z, torch.arange(3))
    assert len({tuple(x.flatten().tolist()) for x in by_noise}) == 6
    assert (by_class[0] - by_class[1]).abs().max() > 1e-4
    assert (by_class[1] - by_class[2]).abs().max() > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_the_class_changes_the_logit_of_one_sample(name: str) -> None:
    _, D = build(name, (1, 12, 12))
    x = torch.rand(1, 1, 12, 12).expand(3, -1, -1, -1) * 2 - 1
    D.eval()
    assert len(set(D(x, torch.arange(3)).tolist())) == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_each_parameter_of_both_players_gets_a_gradient(name: str) -> None:
    G, D = build(name, (3, 16, 16))
    for p in (*G.parameters(), *D.parameters()):
        if not p.any():  # a zero gain or a zero last layer holds back what is behind it until it moves
            nn.init.normal_(p, std=0.1)
    c = torch.arange(6) % N_CLASSES
    D(G(noise(), c), c).sum().backward()
    for player in (G, D):
        without = [n for n, p in player.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        without = [n for n in without if not n.endswith("bias")]  # a norm may follow and cancel a bias
        assert without == []


@pytest.mark.parametrize("name", NETWORKS)
def test_each_weight_but_those_behind_a_zero_gain_learns_from_the_first_step(name: str) -> None:
    G, D = build(name, (3, 16, 16))
    c = torch.arange(6) % N_CLASSES
    D(G(noise(), c), c).sum().backward()
    for player in (G, D):
        held_back = [n for n, p in player.named_parameters() if p.grad is None or not p.grad.any()]
        attention = [n for n, m in player.named_modules() if isinstance(m, SelfAttention)]
        behind = tuple(f"{n}.{layer}" for n in attention for layer in ("query", "key", "value", "out"))
        assert [n for n in held_back if not n.endswith("bias") and not n.startswith(behind or "-")] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_spectral_norm_from_outside_gives_each_layer_of_d_a_singular_value_of_one(name: str) -> None:
    _, D = build(name, (3, 16, 16))
    layers = [m for m in D.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.Embedding)]
    assert len(layers) >= 4
    for layer in layers:
        spectral_norm(layer)
        for _ in range(100):
            layer.weight  # noqa: B018  (a step of the power iteration)
        layer.eval()
        largest = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=0.03)
    assert D(torch.rand(6, 3, 16, 16), torch.arange(6) % N_CLASSES).isfinite().all()
    covered = {id(p) for layer in layers for p in layer.parameters()}
    rest = [n for n, p in D.named_parameters() if id(p) not in covered and p.ndim > 1]
    assert rest == []


@pytest.mark.parametrize("name", NETWORKS)
def test_width_is_a_number_that_scales_both_players(name: str) -> None:
    small, large = build(name, (1, 16, 16), width=4), build(name, (1, 16, 16), width=16)
    for few, many in zip(small, large, strict=True):
        assert 3 < n_parameters(many) / n_parameters(few) < 16.5


def test_the_mlp_is_the_classical_pair_without_a_width() -> None:
    G, D = NETWORKS["mlp"](shape=(10,), n_classes=2, z_dim=8)
    linear = [[m.out_features for m in p.modules() if isinstance(m, nn.Linear)] for p in (G, D)]
    assert linear == [[256, 512, 1024, 10], [1024, 512, 256, 1]]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_sample_does_not_depend_on_its_batch_when_generating(name: str) -> None:
    G, _ = build(name, (1, 12, 12))  # the noise per pixel of "style" has strength zero before training
    G.eval()
    c = torch.arange(6) % N_CLASSES
    torch.testing.assert_close(G(noise(), c)[2:3], G(noise()[2:3], c[2:3]), atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in NETWORKS if not n.startswith("style")])
def test_a_logit_does_not_depend_on_its_batch(name: str) -> None:
    _, D = build(name, (1, 12, 12))
    x, c = torch.rand(6, 1, 12, 12), torch.arange(6) % N_CLASSES
    torch.testing.assert_close(D(x, c)[2:3], D(x[2:3], c[2:3]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("conditioning", CONDITIONING)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_pair_takes_every_conditioning(name: str, conditioning: str) -> None:
    G, D = build(name, (1, 12, 12), conditioning=CONDITIONING[conditioning])
    c = torch.arange(6) % N_CLASSES
    answer = D(G(noise(), c), c)
    if isinstance(answer, Answer):
        assert answer.logits.shape == (6, len(answer.weight))
        assert answer.cost.shape == (6,)
    else:
        assert answer.shape == (6,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_slope_of_a_logit_has_a_slope_for_gradient_penalties(name: str) -> None:
    _, D = build(name, (1, 12, 12))
    x = torch.rand(4, 1, 12, 12, requires_grad=True)
    (slope,) = torch.autograd.grad(D(x, torch.zeros(4, dtype=torch.long)).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in D.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_changes_samples_and_logits_by_rounding_only(name: str) -> None:
    G, D = (player.to(memory_format=torch.channels_last) for player in build(name, (3, 16, 16), width=8))
    c = torch.arange(6) % N_CLASSES
    exact = G(noise(), c).detach()
    logits = D(exact, c).detach()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(G(noise(), c).float(), exact, atol=0.1, rtol=0)
        torch.testing.assert_close(
            D(exact, c).float(), logits, atol=0.05 * float(logits.abs().max() + 1), rtol=0
        )
