"""Models of torchvision by name, as classifiers."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine

from ganaug import compare
from ganaug.data.schema import Schema
from ganaug.errors import ConfigError
from ganaug.experiment.classifiers import build_classifier
from ganaug.experiment.torchvision_models import Fitted, torchvision_model, torchvision_names

SMALL = ["shufflenet_v2_x0_5", "squeezenet1_1", "mobilenet_v3_small", "googlenet"]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 40, 28)])
def test_a_model_takes_small_images_of_one_or_three_channels(name, shape):
    model = torchvision_model(name, shape, 4).train()
    logits = model(torch.zeros(2, *shape))
    assert logits.shape == (2, 4)
    assert logits.requires_grad


@pytest.mark.parametrize(
    ("name", "shape", "size"),
    [
        ("resnet18", (1, 8, 8), (64, 64)),
        ("resnet18", (1, 16, 32), (64, 128)),
        ("resnet18", (3, 96, 80), (96, 80)),
        ("inception_v3", (3, 28, 28), (75, 75)),
        ("vit_b_16", (3, 32, 40), (224, 224)),
        ("vit_h_14", (3, 300, 300), (224, 224)),
    ],
)
def test_images_are_scaled_up_in_their_proportions_only_as_far_as_is_needed(name, shape, size, monkeypatch):
    from torchvision import models

    monkeypatch.setattr(
        models, "get_model", lambda *_, **__: torch.nn.Identity()
    )  # large ones are slow to build
    fitted = torchvision_model(name, shape, 2)(torch.rand(2, *shape))
    assert fitted.shape == (2, 3, *size)


def test_a_grey_image_has_three_equal_channels_and_one_of_the_right_size_is_left_as_it_is():
    x = torch.rand(2, 1, 6, 5)
    assert torch.equal(Fitted((6, 5))(x), x.repeat(1, 3, 1, 1))


def test_a_model_by_name_starts_from_weights_of_the_seed():
    digits, targets = load_digits(return_X_y=True)
    schema = Schema.fit(digits[:50].reshape(-1, 8, 8), targets[:50])
    first, again, other = (
        torch.cat([p.flatten() for p in build_classifier(SMALL[0], schema, seed=s).parameters()])
        for s in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_only_classification_models_have_names_and_a_wrong_name_gets_the_nearest():
    assert {"resnet18", "vit_b_16"} <= {*torchvision_names()}
    assert "fasterrcnn_resnet50_fpn" not in torchvision_names()
    X, y = load_digits(return_X_y=True)
    schema = Schema.fit(X.reshape(-1, 8, 8), y)
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        build_classifier("resnet_18", schema, seed=0)
    with pytest.raises(ConfigError, match="classifier of a table must be one of"):
        build_classifier("resnet18", Schema.fit(*load_wine(return_X_y=True)), seed=0)


def test_a_comparison_takes_a_model_by_name():
    X, y = load_digits(return_X_y=True)
    rows = np.flatnonzero(y < 2)[:60]
    result = compare(
        X[rows].reshape(-1, 8, 8),
        y[rows],
        classifier=SMALL[0],
        arms=["nothing", "oversampling", "gan"],
        seeds=3,
        steps=2,
        batch_size=8,
        train_images=32,
    )
    assert len({c.start for c in result.cells if c.seed == 0}) == 1
    assert result.settings["classifier"] == SMALL[0]
