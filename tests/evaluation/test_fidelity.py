import pytest
import torch
from torch.testing import assert_close

from ganaug.errors import ConfigError, DataError
from ganaug.evaluation.fidelity import (
    density_coverage,
    kernel_distance,
    per_class,
    precision_recall,
    spread,
    spread_ratio,
)


def _cloud(n, d=4, *, seed=0, scale=1.0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * scale + shift


def test_kernel_distance_equals_the_double_sum():
    real, fake = _cloud(5, 3, seed=0).double(), _cloud(4, 3, seed=1).double()

    def kernel(a, b):
        return float((a @ b / 3 + 1) ** 3)

    within = [
        sum(kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j)
        / (len(x) * (len(x) - 1))
        for x in (real, fake)
    ]
    across = sum(kernel(a, b) for a in real for b in fake) / 20
    assert kernel_distance(real, fake) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_kernel_distance_in_chunks_equals_the_whole(monkeypatch):
    real, fake = _cloud(50), _cloud(40, seed=1)
    whole = (kernel_distance(real, fake), precision_recall(real, fake), density_coverage(real, fake))
    monkeypatch.setattr("ganaug.evaluation.fidelity.CHUNK", 7)
    parts = (kernel_distance(real, fake), precision_recall(real, fake), density_coverage(real, fake))
    assert parts[0] == pytest.approx(whole[0], rel=1e-9)
    assert parts[1:] == whole[1:]


@pytest.mark.parametrize("n", [5, 50])
def test_kernel_distance_of_equal_distributions_is_unbiased(n):
    values = torch.tensor([kernel_distance(_cloud(n, seed=i), _cloud(n, seed=1000 + i)) for i in range(400)])
    assert abs(values.mean()) < 3 * values.std() / 20
    assert (values < 0).any()


def test_kernel_distance_grows_with_the_shift():
    real = _cloud(300)
    values = [kernel_distance(real, _cloud(300, seed=1, shift=s)) for s in (0.0, 0.3, 0.6, 1.2, 2.4)]
    assert values == sorted(values)
    assert abs(values[0]) < 0.2 * values[1]


def test_a_collapsed_cloud_has_precision_without_recall_and_a_wide_one_the_reverse():
    real = _cloud(400)
    collapsed = precision_recall(real, _cloud(400, seed=1, scale=0.05))
    wide = precision_recall(real, _cloud(400, seed=1, scale=5.0))
    assert collapsed.precision > 0.95
    assert collapsed.recall < 0.05
    assert wide.precision < 0.2
    assert wide.recall > 0.8


def test_a_copy_is_perfect_and_a_far_cloud_is_nothing():
    real = _cloud(60)
    assert precision_recall(real, real.clone()) == (1.0, 1.0)
    assert density_coverage(real, real.clone()).coverage == 1.0
    assert precision_recall(real, real + 100) == (0.0, 0.0)
    assert density_coverage(real, real + 100) == (0.0, 0.0)


def test_density_is_one_for_equal_distributions_and_not_fooled_by_an_outlier():
    real, fake = _cloud(600), _cloud(600, seed=1)
    result = density_coverage(real, fake)
    assert result.density == pytest.approx(1, abs=0.12)
    assert result.coverage > 0.9
    outlier = torch.cat([real, torch.full((1, 4), 40.0)])
    spurious = _cloud(600, seed=1, shift=15)
    assert precision_recall(outlier, spurious).precision == 1.0
    assert density_coverage(outlier, spurious).density < 0.25


def test_k_is_lowered_where_samples_are_few():
    real = torch.tensor([[0.0], [1.0]])
    assert precision_recall(real, torch.tensor([[0.5], [9.0]])) == (0.5, 1.0)
    assert precision_recall(real, torch.tensor([[0.5], [9.0]]), k=1) == (0.5, 1.0)


def test_spread_is_the_trace_of_the_covariance():
    x = _cloud(30, 3, scale=2.0).double()
    assert spread(x) == pytest.approx(float(torch.cov(x.T).trace()))
    assert spread_ratio(x, x) == 1
    assert spread_ratio(x, x.mean(0) + (x - x.mean(0)) * 0.01) == pytest.approx(1e-4)
    assert torch.tensor(spread_ratio(torch.ones(3, 2), x[:, :2])).isnan()


def test_the_order_of_samples_does_not_matter():
    real, fake = _cloud(50), _cloud(40, seed=1, shift=0.3)
    order, other = torch.randperm(50), torch.randperm(40)
    assert kernel_distance(real[order], fake[other]) == pytest.approx(kernel_distance(real, fake), rel=1e-9)
    assert precision_recall(real[order], fake[other]) == precision_recall(real, fake)
    assert density_coverage(real[order], fake[other]) == density_coverage(real, fake)


def test_per_class_finds_the_collapsed_class_and_leaves_out_small_ones():
    c = torch.tensor([0] * 50 + [1] * 50 + [2])
    real, fake = _cloud(101), _cloud(101, seed=1)
    fake[50:100] *= 0.01
    result = per_class(real, c, fake, c, n_classes=4)
    assert list(result) == ["kernel_distance", "precision", "recall", "spread_ratio"]
    assert result["spread_ratio"][0] == pytest.approx(1, abs=0.4)
    assert result["spread_ratio"][1] < 1e-3
    assert result["recall"][0] > 0.6 > 0.1 > result["recall"][1]
    assert_close(result["kernel_distance"][0].item(), kernel_distance(real[:50], fake[:50]))
    assert all(values.isnan().tolist() == [False, False, True, True] for values in result.values())


def test_errors_say_what_came():
    with pytest.raises(DataError, match=r"got \(5, 4\) and \(1, 4\)"):
        kernel_distance(_cloud(5), _cloud(1))
    with pytest.raises(DataError, match=r"got \(5, 4\) and \(5, 3\)"):
        spread_ratio(_cloud(5), _cloud(5, 3))
    with pytest.raises(ConfigError, match="k must be an integer of at least 1; got 0"):
        precision_recall(_cloud(5), _cloud(5), k=0)
