"""A D that sees several samples of a class together: same classes, same logits, right slopes."""

import pytest
import torch
from play import batches_of, fresh, play, small
from torch import nn

from ganaug.adversarial.regularizers import R1, Duel, GradientPenalty
from ganaug.errors import ConfigError
from ganaug.networks.packed import Packed


class Summing(nn.Module):
    """The squared sum of all numbers shown at once."""

    def forward(self, x, c):
        return x.flatten(1).sum(1) ** 2 + c


def test_each_sample_has_the_logit_of_its_pack() -> None:
    x, c = torch.arange(6.0)[:, None], torch.tensor([0, 0, 0, 1, 1, 1])
    logits = Packed(Summing(), 3)(x, c)
    assert logits.tolist() == [9.0] * 3 + [145.0] * 3


def test_a_last_pack_that_is_not_full_is_filled_up() -> None:
    logits = Packed(Summing(), 3)(torch.ones(4, 1), torch.zeros(4))
    assert logits.tolist() == [9.0] * 4


def test_a_slope_is_that_of_the_whole_pack() -> None:
    x = torch.randn(8, 2, requires_grad=True)
    c = torch.zeros(8, dtype=torch.long)
    D = Packed(Summing(), 2)
    duel = Duel(
        D=D,
        x_both=x,
        c=c[:4],
        logits=D(x, c),
        means=torch.zeros(2),
        generator=torch.Generator(),
        pack=2,
    )
    sums = x.detach().reshape(4, 4).sum(1)
    expected = (4 * (2 * sums) ** 2).repeat_interleave(2)  # four numbers, each with slope 2 * sum
    torch.testing.assert_close(duel.slopes, expected)
    torch.testing.assert_close(duel.gradient_norm(x[:4]), expected[:4].sqrt())


@pytest.mark.parametrize("pack", [2, 8])
def test_batches_keep_a_pack_to_one_class(pack: int) -> None:
    config = small(pack=pack)
    batches = batches_of(config)
    _, c = batches(0)
    assert len(c) == 16
    assert (c.view(-1, pack) == c.view(-1, pack)[:, :1]).all()
    assert len({tuple(batches(i)[1].tolist()) for i in range(5)}) > 1


@pytest.mark.parametrize(
    ("regularizers", "chunks"), [(("spectral-norm", "lecam"), 1), ((R1(), GradientPenalty()), 4)]
)
@pytest.mark.parametrize("shape", [(1, 8, 8), (5,)])
def test_a_packed_game_trains(regularizers, chunks: int, shape) -> None:
    config = small(pack=4, regularizers=regularizers, diffaugment=())
    state = fresh(config, shape=shape)
    state.n_chunks = chunks
    state, history = play(config, state=state, shape=shape)
    assert state.images_seen == 64
    assert history[-1]["health"].split(";")[-1].strip() in (
        "good",
        f"short of memory: batches cut into {chunks}",
    )


def test_a_collapsed_g_is_told_apart_in_packs_alone() -> None:
    """Two samples that are alike: the mean of each is like the data's, their distance is not."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 1, generator=generator)
    x_fake = torch.randn(2000, 1, generator=generator).repeat_interleave(2, 0)
    apart = nn.Linear(2, 1)
    apart.forward = lambda x: (x[:, 0] - x[:, 1]).abs()
    D = Packed(nn.Module(), 2)
    D.D.forward = lambda x, c: apart(x)
    real_logits, fake_logits = D(x, torch.zeros(4000)), D(x_fake, torch.zeros(4000))
    assert fake_logits.max() == 0 < real_logits.min()


def test_a_batch_must_hold_whole_packs() -> None:
    with pytest.raises(ConfigError, match="batch_size must be a multiple of pack=10"):
        small(pack=10)
