import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ganaug.experiment.cells import Cell
from ganaug.experiment.metrics import METRICS

rng = np.random.default_rng(0)


def cell(y_true, y_score, y_pred=None):
    y_pred = y_score.argmax(1) if y_pred is None else y_pred
    return Cell(
        arm="a", seed=0, y_true=y_true, y_pred=y_pred, y_score=y_score, n_train=1, n_extra=0,
        fit_seconds=0.0, gan_seconds=0.0,
    )  # fmt: skip


def test_average_precision_of_two_classes_is_that_of_the_second():
    y, p = rng.integers(0, 2, 80), rng.random(80).round(1)
    found = cell(y, np.stack([1 - p, p], axis=1)).score("average_precision")
    assert found == pytest.approx(average_precision_score(y, p))


def test_average_precision_of_more_classes_is_the_mean_of_one_against_the_rest():
    y, scores = rng.integers(0, 4, 90), rng.normal(size=(90, 4))
    expected = average_precision_score(np.eye(4)[y], scores, average="macro")
    assert cell(y, scores).score("average_precision") == pytest.approx(expected)


def test_a_class_that_is_not_tested_has_no_part_in_average_precision():
    y, scores = rng.integers(0, 2, 90) * 2, rng.normal(size=(90, 3))
    expected = np.mean([average_precision_score(y == k, scores[:, k]) for k in (0, 2)])
    assert cell(y, scores).score("average_precision") == pytest.approx(expected)
    assert cell(y * 0, scores[:, :2]).score("average_precision") == 0


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_is_one_for_perfect_predictions_and_lower_for_others(metric):
    y = rng.integers(0, 3, 60)
    assert cell(y, np.eye(3)[y]).score(metric) == 1
    assert cell(y, np.eye(3)[(y + 1) % 3]).score(metric) < 0.5


def test_a_cell_without_scores_has_all_metrics_of_decisions():
    y = rng.integers(0, 3, 60)
    assert set(METRICS) - set(cell(y, None, y_pred=y).metrics) == {"average_precision"}
    assert set(cell(y, np.eye(3)[y]).metrics) == set(METRICS)
