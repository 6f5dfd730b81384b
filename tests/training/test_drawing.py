"""Drawing: noise that is bounded where asked, repeatable pieces, and nothing global touched."""

import numpy as np
import pytest
import torch
from play import small
from scipy import stats
from torch import Tensor, nn

import ganaug
from ganaug.errors import ConfigError
from ganaug.training.drawing import PIECES, Drawing
from ganaug.training.grid import sample_grid
from ganaug.training.snapshots import Snapshots

PIECE = PIECES["image"]


class Echo(nn.Module):
    """Returns the noise it is given, and its class."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)
        self.sizes: list[int] = []

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        self.sizes.append(len(z))
        return torch.cat([z * self.scale, c[:, None].float()], dim=1)


class Draws(Echo):
    """Adds noise of its own, as style networks do."""

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return super().forward(z, c) + torch.randn(len(z), 1)


def drawn(G: nn.Module, n: int, k: int = 0, **options) -> Tensor:
    return torch.cat(list(Drawing(G, 5).pieces(k, n, **{"stream": 0, **options})))


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0, 2.0])
def test_truncated_noise_is_a_truncated_normal(t: float) -> None:
    z = drawn(Echo(), 2000, truncation=t)[:, :5].double().numpy()
    assert np.abs(z).max() <= t * (1 + 1e-6)
    assert np.abs(z).max() > 0.98 * t
    assert stats.kstest(z.ravel(), stats.truncnorm(-t, t).cdf).pvalue > 0.01
    assert np.abs(np.corrcoef(z.T) - np.eye(5)).max() < 0.1


def test_noise_without_truncation_is_normal() -> None:
    z = drawn(Echo(), 2000)[:, :5].double().numpy()
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > 0.01


def test_a_very_wide_truncation_cuts_nothing_and_stays_finite() -> None:
    z = drawn(Echo(), 2000, truncation=40.0)[:, :5]
    assert torch.isfinite(z).all()
    assert stats.kstest(z.double().numpy().ravel(), stats.norm.cdf).pvalue > 0.01


def test_classes_and_streams_have_noise_of_their_own() -> None:
    one, other, again = (drawn(Echo(), 10, k)[:, :5] for k in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert not torch.equal(one, drawn(Echo(), 10, stream=1)[:, :5])
    assert drawn(Echo(), 3, k=7)[:, 5].tolist() == [7, 7, 7]


def test_pieces_are_small_and_add_up() -> None:
    G = Echo()
    assert [len(x) for x in Drawing(G, 5).pieces(0, 2 * PIECE + 3, stream=0)] == [PIECE, PIECE, 3]
    assert G.sizes == [PIECE, PIECE, 3]
    assert list(Drawing(G, 5).pieces(0, 0, stream=0)) == []


def test_a_piece_is_the_same_whatever_was_drawn_before() -> None:
    G = Draws()
    whole = list(Drawing(G, 5).pieces(0, 3 * PIECE + 7, stream=2))
    for first in range(4):
        alone = list(Drawing(G, 5).pieces(0, (3 - first) * PIECE + 7, stream=2, first=first))
        assert torch.equal(torch.cat(alone), torch.cat(whole[first:]))
    assert len({piece[0, 0].item() for piece in whole}) == 4


def test_pieces_come_only_as_they_are_asked_for() -> None:
    G = Echo()
    pieces = Drawing(G, 5).pieces(0, 100 * PIECE, stream=0)
    next(pieces)
    assert len(G.sizes) == 1


@pytest.mark.parametrize("G", [Echo, Draws])
def test_a_longer_draw_begins_with_whole_pieces_of_a_shorter_one(G: type) -> None:
    assert torch.equal(drawn(G(), 3 * PIECE)[:PIECE], drawn(G(), PIECE))


def test_own_noise_of_a_network_is_repeated_by_the_stream_and_global_state_is_left_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = drawn(Draws(), 600)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        assert torch.equal(drawn(Draws(), 600), first)
    own = first[:, 5]
    assert len(own.unique()) > 590  # no piece repeats another's
    assert not torch.equal(own, drawn(Draws(), 600, stream=1)[:, 5])


def test_samples_carry_no_graph() -> None:
    G = Echo().requires_grad_(True)
    assert not drawn(G, 3).requires_grad


class Named(Echo):
    """Returns the class, and the weight it was drawn with."""

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return torch.stack([c.float(), self.scale.expand(len(c))], dim=1)


def test_a_mixed_draw_gives_each_row_its_class() -> None:
    c = torch.randint(3, (2 * PIECE + 50,), generator=torch.Generator().manual_seed(0))
    assert torch.equal(Drawing(Named(), 5).mixed(c, stream=0)[:, 0], c.float())


def test_a_mixed_draw_gives_each_row_its_class_and_the_snapshot_of_that_class() -> None:
    G, snapshots = Named(), Snapshots()
    for moment, distance in ((10, [1.0, 9.0, 1.0]), (20, [2.0, 2.0, 2.0])):
        G.scale.fill_(moment)
        snapshots.offer(moment, G, torch.tensor(distance))
    G.scale.fill_(99)
    c = torch.randint(3, (2 * PIECE + 50,), generator=torch.Generator().manual_seed(0))
    for rows in (c, c[c != 1], c[:1]):
        x = Drawing(G, 5, snapshots).mixed(rows, stream=0)
        assert torch.equal(x[:, 0], rows.float())
        assert torch.equal(x[:, 1], torch.tensor([10.0, 20.0, 10.0])[rows])


@pytest.fixture(scope="module")
def style(digits) -> ganaug.ConditionalGAN:
    config = small(network="style", train_images=64)
    return ganaug.ConditionalGAN(config=config, random_state=0).fit(*digits)


def test_a_style_network_repeats_a_draw_by_random_state(style) -> None:
    first, again, other = (style.generate(300, random_state=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("truncation", [None, 0.7])
def test_a_stream_equals_what_is_generated_at_once(style, truncation) -> None:
    counts = {7: 300, 1: 2, 4: 0}
    X, y = style.generate(counts, random_state=4, truncation=truncation)
    parts = list(style.stream(counts, random_state=4, truncation=truncation))
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X)
    indices = np.concatenate([k for _, k in parts])
    np.testing.assert_array_equal(style.classes_[indices], y)
    assert [len(x) for x, _ in parts] == [256, 44, 2]


def test_less_noise_makes_samples_more_alike(digits) -> None:
    gan = ganaug.ConditionalGAN(config=small(width=16, train_images=1600), random_state=0).fit(*digits)
    widths = [
        float(np.var(gan.generate({4: 400}, random_state=0, truncation=t)[0].astype(float), axis=0).sum())
        for t in (0.2, 0.7, None)
    ]
    assert widths == sorted(widths)
    assert widths[0] < 0.5 * widths[2]


@pytest.mark.parametrize("truncation", [0, -1, float("nan"), "a"])
def test_a_truncation_that_is_none_is_refused(style, truncation) -> None:
    with pytest.raises(ConfigError, match="truncation must be"):
        style.generate(1, truncation=truncation)


def test_the_grid_shows_a_row_per_class_of_the_first_sixteen() -> None:
    class Grey(Echo):
        def forward(self, z: Tensor, c: Tensor) -> Tensor:
            return (c[:, None, None, None] / 20).expand(-1, 1, 8, 8)

    picture = np.asarray(sample_grid(Drawing(Grey(), 5), n_classes=40, columns=3, seed=0))
    assert picture.shape == (16 * 10 + 2, 3 * 10 + 2, 3)
    shades = [int(picture[10 * k + 5, 5, 0]) for k in range(16)]
    assert shades == [round((k / 20 + 1) / 2 * 255) for k in range(16)]
