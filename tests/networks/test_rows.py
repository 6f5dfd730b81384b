"""Rows of tables: scalars in range, categories drawn with the chances that the numbers say."""

import pytest
import torch

from ganaug.config import GANConfig
from ganaug.errors import ConfigError
from ganaug.networks import NETWORKS, TABLE_NETWORKS, RowHead, residual_mlp
from ganaug.training.state import build_networks

BLOCKS = (1, 3, 1, 2, 4)
N = sum(BLOCKS)


def test_categories_are_drawn_with_the_chances_of_a_softmax() -> None:
    torch.manual_seed(0)
    numbers = torch.tensor([0.3, 0.0, 1.0, 2.0, -2.0, 0.5, 0.5, 3.0, 0.0, 0.0, -1.0])
    x = RowHead(BLOCKS)(numbers.expand(40_000, N))
    for block in (slice(1, 4), slice(5, 7), slice(7, 11)):
        torch.testing.assert_close(x[:, block].mean(0), numbers[block].softmax(0), atol=0.01, rtol=0)


@pytest.mark.parametrize("blocks", [BLOCKS, (1, 1), (2, 2), (50, 1, 2)])
def test_rows_are_scalars_in_range_and_exact_one_hots(blocks: tuple[int, ...]) -> None:
    x = RowHead(blocks)(10 * torch.randn(500, sum(blocks)))
    for block, width in zip(x.split(list(blocks), dim=1), blocks, strict=True):
        if width == 1:
            assert block.abs().max() <= 1
        else:
            assert set(block.unique().tolist()) == {0.0, 1.0}
            assert (block.sum(1) == 1).all()


def test_scalars_are_the_tanh_of_their_number() -> None:
    numbers = torch.randn(20, N)
    x = RowHead(BLOCKS)(numbers)
    torch.testing.assert_close(x[:, [0, 4]], numbers[:, [0, 4]].tanh())


def test_the_gradient_is_that_of_the_softmax_at_its_temperature() -> None:
    numbers = torch.randn(30, 4, dtype=torch.float32, requires_grad=True)
    worth = torch.randn(4)
    torch.manual_seed(1)
    (RowHead([4], temperature=0.7)(numbers) @ worth).sum().backward()
    torch.manual_seed(1)
    noise = -(-torch.rand(30, 4).log()).log()
    soft = numbers.detach().clone().requires_grad_()
    ((((soft + noise) / 0.7).softmax(1)) @ worth).sum().backward()
    torch.testing.assert_close(numbers.grad, soft.grad)


def test_numbers_that_are_huge_stay_finite() -> None:
    numbers = torch.tensor([[1.0, 1e4, -1e4, 0.0, 1e4, 88.0, -1e30, 1e30, 0.0, 0.0, 0.0]], requires_grad=True)
    x = RowHead(BLOCKS)(numbers)
    x.square().sum().backward()
    assert torch.isfinite(x).all()
    assert torch.isfinite(numbers.grad).all()


@pytest.mark.parametrize("name", TABLE_NETWORKS)
def test_networks_for_tables_draw_rows_of_the_layout_and_let_gradients_through(name: str) -> None:
    G, D = NETWORKS[name](shape=(N,), n_classes=3, z_dim=4, width=8, blocks=BLOCKS)
    x = G(torch.randn(6, 4), torch.arange(6) % 3)
    assert ((x[:, 1:4] == 0) | (x[:, 1:4] == 1)).all()
    D(x, torch.arange(6) % 3).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in G.parameters())


def test_the_same_noise_and_seed_give_the_same_row_and_classes_differ() -> None:
    G, _ = residual_mlp(shape=(N,), n_classes=2, z_dim=4, width=8, blocks=BLOCKS)
    z = torch.randn(5, 4)
    rows = []
    for c in (0, 0, 1):
        torch.manual_seed(0)
        rows.append(G.eval()(z, torch.full((5,), c)))
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_an_own_network_that_does_not_know_blocks_makes_scalars_only() -> None:
    def own(*, shape, n_classes, z_dim, width, conditioning):
        return NETWORKS["mlp"](
            shape=shape, n_classes=n_classes, z_dim=z_dim, width=width, conditioning=conditioning
        )

    config = GANConfig(network=own)
    build_networks(config, shape=(3,), n_classes=2, seed=0, blocks=(1, 1, 1))
    with pytest.raises(ConfigError, match=r"needs a network that takes `blocks`.*RowHead"):
        build_networks(config, shape=(3,), n_classes=2, seed=0, blocks=(1, 2))


@pytest.mark.parametrize("name", sorted({*NETWORKS} - {*TABLE_NETWORKS}))
def test_networks_for_images_refuse_tables(name: str) -> None:
    with pytest.raises(ConfigError, match="network for a table must be one of"):
        build_networks(GANConfig(network=name), shape=(3,), n_classes=2, seed=0, blocks=(1, 2))
