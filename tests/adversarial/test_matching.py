"""Distances between batches that G minimises beside the game: closed forms, and what they pull at."""

import numpy as np
import pytest
import torch
from play import fresh, play, small

from ganaug.adversarial.matching import MATCHING, Correlations, Moments, resolve_matching
from ganaug.config import GANConfig
from ganaug.errors import ConfigError
from ganaug.training.game import resolve_game

X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
C = torch.arange(200) % 2


@pytest.mark.parametrize("name", MATCHING)
def test_a_batch_is_at_no_distance_from_itself_in_any_order(name: str) -> None:
    assert MATCHING[name].distance(X, X, C) == 0
    order = torch.cat([v.nonzero()[:, 0].flip(0) for v in (1 - C, C)])
    same = MATCHING[name].distance(X[C.argsort(stable=True)], X[order], C.sort()[0])
    torch.testing.assert_close(same, torch.tensor(0.0), atol=1e-6, rtol=0)


def test_moments_are_means_and_deviations() -> None:
    expected = (3.0**2 + (2 * X.std(0, correction=0) - X.std(0, correction=0)) ** 2).mean()
    doubled = 2 * (X - X.mean(0)) + X.mean(0) + 3
    torch.testing.assert_close(Moments(weight=2).distance(X, doubled, C), 2 * expected)


def test_correlations_are_those_of_numpy_with_the_classes_beside() -> None:
    other = X + X.roll(1, dims=1) * C[:, None]
    classes = torch.stack([C == 0, C == 1], dim=1).numpy()
    real, fake = (np.corrcoef(np.hstack([v.numpy(), classes]).T) for v in (X, other))
    expected = ((real - fake) ** 2).mean()
    assert float(Correlations().distance(X, other, C)) == pytest.approx(expected, rel=1e-3)


def test_a_class_that_looks_like_another_is_seen_by_correlations_only() -> None:
    real = X + 3 * C[:, None]
    swapped = X + 3 * (1 - C)[:, None]
    assert float(Correlations().distance(real, swapped, C)) > 0.1
    assert float(Moments().distance(real, swapped, C)) < 0.05


def test_a_number_that_never_varies_gives_no_nan() -> None:
    constant = torch.cat([X, torch.ones(200, 1)], dim=1).requires_grad_()
    Correlations().distance(torch.cat([X, torch.ones(200, 1)], dim=1), constant, C).backward()
    assert torch.isfinite(constant.grad).all()


@pytest.mark.parametrize("name", MATCHING)
def test_descending_it_brings_the_batches_together(name: str) -> None:
    fake = (X.flip(1) * 2 + 1).requires_grad_()
    before = MATCHING[name].distance(X, fake, C)
    optimiser = torch.optim.Adam([fake], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        distance = MATCHING[name].distance(X, fake, C)
        distance.backward()
        optimiser.step()
    assert distance < 0.3 * before


def test_it_moves_g_alone_and_is_in_the_history() -> None:
    plain, _ = play(small(train_images=16, matching=()))
    state, history = play(small(train_images=16, matching=("moments", Correlations(weight=5))))
    assert history[-1]["matching"] > 0
    for (name, a), (_, b) in zip(plain.D.named_parameters(), state.D.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    weights = zip(plain.G.parameters(), state.G.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)


def test_pieces_of_a_batch_are_matched_too() -> None:
    config = small(matching=("moments",))
    state = fresh(config)
    state.n_chunks = 4
    _, history = play(config, state=state)
    assert np.isfinite(history[-1]["matching"])


def test_names_descriptions_and_own_objects() -> None:
    assert resolve_matching("moments") == Moments()
    config = GANConfig.from_dict(GANConfig(matching=(Correlations(weight=3),)).to_dict())
    assert resolve_game(config).matching == (Correlations(weight=3),)
    with pytest.raises(ConfigError, match="Did you mean 'moments'"):
        resolve_matching("moment")
    with pytest.raises(ConfigError, match="method `distance`"):
        resolve_matching(3.0)  # type: ignore[arg-type]
