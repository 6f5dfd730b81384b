import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from ganaug.adversarial.diffaugment import diff_augment
from ganaug.errors import ConfigError, DataError
from ganaug.evaluation.leak import augmentation_leak
from ganaug.evaluation.marks import MARKS

POLICIES = ("color", "translation", "cutout")
N = 500


def _all_digits():
    return torch.tensor(load_digits().images[:, None] / 8 - 1, dtype=torch.float32)


def _photographs():
    path = Path(os.environ.get("GANAUG_DATA", "")) / "cifar10_subset.npz"
    if "GANAUG_DATA" not in os.environ or not path.exists():
        pytest.skip("needs cifar10_subset.npz in the folder GANAUG_DATA")
    x = torch.from_numpy(np.load(path)["x_train"])
    return x.permute(0, 3, 1, 2).float() / 127.5 - 1


def _halves(x, seed):
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[rows[:N]], x[rows[N : 2 * N]]


def _augmented(x, name, share, seed=0):
    """Augment a share of the images and add the fuzz of a generator that never hits a value exactly."""
    generator = torch.Generator().manual_seed(seed)
    x, n = x.clone(), int(share * len(x))
    x[:n] = x[:n].flip(3) if name == "flip" else diff_augment(x[:n], [name], generator)
    return (x.clamp(-1, 1) + 0.02 * torch.randn(x.shape, generator=generator)).clamp(-1, 1)


def _blurred(x, amount):
    kernel = torch.tensor([amount, 1 - 2 * amount, amount])
    kernel = (kernel[:, None] * kernel).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])


def _harmless(x, real):
    """Name what a good, a middling and a bad generator without leak might make."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    return {
        "held out": x,
        "blurred": _blurred(x, 0.1),
        "noisy": (x + 0.05 * noise).clamp(-1, 1),
        "blurred and noisy": (_blurred(x, 0.15) + 0.1 * noise).clamp(-1, 1),
        "dull": 0.8 * x,
        "the mean image": real.mean(0) + 0.05 * noise,
        "all grey": 0.05 * noise,
        "noise": (noise / 2).tanh(),
    }


def _leaked(x, x_fake, policy=tuple(MARKS)):
    return {name for name, leak in augmentation_leak(x, x_fake, policy).items() if leak.leaked}


@pytest.mark.parametrize("name", [*POLICIES, "flip"])
def test_digits_with_a_leak_are_found_and_nothing_else_is(name):
    found = [_leaked(real, _augmented(fake, name, 0.3)) for real, fake in _ten_halves(_all_digits())]
    assert sum(name in names for names in found) >= 9
    assert not set().union(*found) - {name}


def _ten_halves(x):
    return [_halves(x, seed) for seed in range(10)]


def test_false_alarms_over_fifty_splits_of_digits():
    alarms = {name: 0 for name in MARKS}
    for seed in range(50):
        for name in _leaked(*_halves(_all_digits(), seed)):
            alarms[name] += 1
    assert max(alarms.values()) <= 2


def test_ordinary_flaws_of_a_generator_of_digits_are_no_leak():
    real, fake = _halves(_all_digits(), 0)
    found = {what: _leaked(real, x) for what, x in _harmless(fake, real).items()}
    assert found == {what: set() for what in found}


@pytest.mark.parametrize("name", [pytest.param("color", marks=pytest.mark.slow), *POLICIES[1:]])
def test_photographs_with_a_leak_are_found(name):
    halves = _ten_halves(_photographs())
    share = 0.5 if name == "color" else 0.2
    found = [_leaked(real, _augmented(fake, name, share), [name]) for real, fake in halves]
    assert sum(map(len, found)) >= 9


def test_ordinary_flaws_of_a_generator_of_photographs_are_no_leak():
    real, fake = _halves(_photographs(), 0)
    found = {what: _leaked(real, x) for what, x in _harmless(fake, real).items()}
    assert found == {what: set() for what in found}


@pytest.mark.slow
def test_false_alarms_over_ten_splits_of_photographs():
    assert sum(len(_leaked(*halves, POLICIES)) for halves in _ten_halves(_photographs())) <= 1


def test_marks_that_the_data_have_themselves_are_no_leak():
    real, fake = _halves(F.pad(_all_digits(), (2, 2, 2, 2)), 0)
    assert _leaked(real, fake) == set()
    assert augmentation_leak(real, fake, ["translation"])["translation"].share_real == 1


def test_more_of_a_class_that_carries_the_mark_is_no_leak():
    blank = F.pad(_all_digits()[:, :, 1:], (0, 0, 1, 0))
    other = _all_digits()
    x, c = torch.cat([blank[:100], other[100:500]]), torch.tensor([1] * 100 + [0] * 400)
    x_fake, c_fake = torch.cat([blank[500:800], other[800:900]]), torch.tensor([1] * 300 + [0] * 100)
    assert augmentation_leak(x, x_fake, ["translation"])["translation"].leaked
    leak = augmentation_leak(x, x_fake, ["translation"], c=c, c_fake=c_fake)["translation"]
    assert not leak.leaked
    assert leak.share_real == leak.share_fake == 0.75
    assert leak.p_value > 0.4


def test_a_leak_within_classes_is_found_and_a_class_without_real_images_is_left_out():
    real, fake = _halves(_all_digits(), 0)
    c, c_fake = torch.arange(N) % 3, torch.arange(N) % 4
    fake = _augmented(fake, "translation", 0.3)
    leak = augmentation_leak(real, fake, ["translation"], c=c, c_fake=c_fake)["translation"]
    assert leak.leaked
    assert leak.share_fake == pytest.approx(0.3 * 8 / 9, abs=0.06)


def test_the_result_is_repeatable_and_leaves_the_global_generators():
    real, fake = _halves(_all_digits(), 0)
    torch.manual_seed(3)
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    assert augmentation_leak(real, fake) == augmentation_leak(real, fake)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_errors_say_what_is_wrong():
    x = torch.zeros(20, 1, 8, 8)
    with pytest.raises(ConfigError, match="Did you mean 'cutout'"):
        augmentation_leak(x, x, ["cutuot"])
    with pytest.raises(DataError, match=r"got \(20, 5\) and \(20, 5\)"):
        augmentation_leak(torch.zeros(20, 5), torch.zeros(20, 5))
    with pytest.raises(DataError, match="10 of each"):
        augmentation_leak(x, x[:9])
    with pytest.raises(DataError, match="class in common"):
        augmentation_leak(x, x, c=torch.zeros(20).long(), c_fake=torch.ones(20).long())
