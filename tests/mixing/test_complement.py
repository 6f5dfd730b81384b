"""A generator that plays against the classifier: who moves, what it learns, what unlabelled samples teach."""

import copy
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from ganaug.adversarial.complement import evidence, feature_distance
from ganaug.errors import ConfigError, DataError
from ganaug.mixing.complement import ComplementGenerator, feature_layer, shuffled

X = torch.rand(200, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1


def classifier(n_in=4, n_classes=3, *, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(n_in, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, n_classes))


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def moved(before, module):
    return [not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True)]


def test_evidence_is_the_log_odds_of_any_class_against_one_more_with_logit_zero():
    logits = torch.randn(5, 3)
    chances = torch.cat([logits, torch.zeros(5, 1)], dim=1).softmax(1)
    assert torch.allclose(evidence(logits), (chances[:, :3].sum(1) / chances[:, 3]).log(), atol=1e-6)


def test_the_loss_is_that_of_the_game_of_k_plus_one_classes():
    model = classifier()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)  # says nothing of any sample: 3 classes of 4 are real
    loss = ComplementGenerator(model, X, weight=0.5, entropy=0, random_state=0).loss().detach()
    assert float(loss) == pytest.approx(-0.5 * (math.log(3 / 4) + math.log(1 / 4)), rel=1e-5)


def test_feature_distance_is_that_of_means_and_zero_for_the_same_batch_in_another_order():
    h = torch.randn(8, 5)
    assert float(feature_distance(h, h.flip(0))) == pytest.approx(0, abs=1e-6)
    assert float(feature_distance(h, h + torch.tensor([1.0, -1, 0, 0, 0]))) == pytest.approx(0.4, abs=1e-6)


def test_a_step_moves_the_generator_alone_and_leaves_the_classifier_a_gradient():
    model = classifier()
    complement = ComplementGenerator(model, X, random_state=0)
    before, mine = weights(model), weights(complement.G)
    loss = complement.loss()
    assert not any(moved(before, model))
    assert all(p.grad is None for p in model.parameters())  # the generator's slope went through, not to it
    # batch norm takes away what the biases before it add
    assert sum(moved(mine, complement.G)) >= len(mine) - 4
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    now = weights(complement.G)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not any(moved(now, complement.G))
    assert any(moved(before, model))


def shown(model, x, **settings):
    """Return the real and the fake samples of a step with mixes."""
    seen = []
    complement = ComplementGenerator(model, x, fakes="mixes", batch_size=16, random_state=0, **settings)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    complement.loss().backward()
    assert complement.G is None  # nothing is learned
    return seen


def test_a_mixed_image_is_the_mean_of_two():
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    real, fake = shown(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), images)
    assert torch.allclose(fake, (real + real.roll(1, 0)) / 2)


def test_a_mixed_row_has_the_values_of_its_columns_from_rows_of_their_own():
    numbers = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    town = nn.functional.one_hot(torch.arange(40) % 3).float()
    real, fake = shown(nn.Linear(5, 2), torch.cat([numbers, town], 1), blocks=(1, 1, 3))
    assert torch.equal(real.sort(0).values, fake.sort(0).values)  # what a column holds stays
    assert set(map(tuple, fake[:, 2:].tolist())) == set(map(tuple, town[:3].tolist()))  # and a category whole
    one = torch.rand(30, 3)
    assert torch.allclose(shuffled(one, torch.Generator(), widths=(3,)), (one + one.roll(1, 0)) / 2)
    sources = [(fake[:, [k]] == real[:, k]).int().argmax(1) for k in (0, 1)]
    assert (sources[0] != sources[1]).float().mean() > 0.7


def test_the_generator_comes_to_match_the_features_of_a_classifier_that_stands_still():
    model = classifier().eval()
    x = X / 4 + torch.tensor([0.6, -0.6, 0.3, 0.0])
    complement = ComplementGenerator(model, x, batch_size=128, random_state=0)
    head = nn.Sequential(*list(model)[:-1])

    def distance():
        z = torch.randn(512, 32, generator=torch.Generator().manual_seed(5))
        with torch.no_grad():
            x_fake = complement.G.eval()(z, torch.zeros(512, dtype=torch.int64))
            complement.G.train()
            return float(feature_distance(head(x), head(x_fake)))

    first = distance()
    for _ in range(150):
        complement.loss()
    assert distance() < 0.3 * first


def test_fake_samples_stay_out_of_the_statistics_that_the_classifier_predicts_by():
    model = classifier().train()
    complement = ComplementGenerator(model, X, batch_size=200, random_state=0)
    seen = []
    hook = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    complement.loss()
    hook.remove()
    alone = classifier().train()
    alone(seen[0])
    for mine, expected in zip(model.buffers(), alone.buffers(), strict=True):
        assert torch.equal(mine, expected)
    assert model[1].momentum == alone[1].momentum


def test_the_same_seed_gives_the_same_game_and_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    found = []
    for seed in (1, 1, 2):
        complement = ComplementGenerator(classifier(), X, random_state=seed)
        found.append([float(complement.loss().detach()) for _ in range(3)])
    assert torch.equal(torch.rand(3), expected)
    assert found[0] == found[1] != found[2]


def test_a_transform_changes_unlabelled_samples_before_anybody_sees_them():
    seen = []
    model = classifier()
    complement = ComplementGenerator(model, X, transform=lambda x: x * 0 + 0.25, random_state=0)
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    complement.loss()
    assert (seen[0] == 0.25).all()
    assert not (seen[1] == 0.25).any()


def test_without_fakes_what_is_left_is_the_entropy_of_unlabelled_samples():
    model = classifier()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    complement = ComplementGenerator(model, X, fakes="none", entropy=0.3, random_state=0)
    assert float(complement.loss().detach()) == pytest.approx(0.3 * math.log(3), rel=1e-5)
    assert complement.G is None
    with torch.no_grad():
        model[-1].bias[0] = 50  # sure of everything
    assert float(complement.loss().detach()) == pytest.approx(0, abs=1e-5)


def test_unlabelled_digits_teach_a_classifier_of_five_labelled_ones_a_class():
    images, y = load_digits(return_X_y=True)
    x, y = torch.tensor(images / 8 - 1).float().reshape(-1, 1, 8, 8), torch.tensor(y)
    unlabelled, x_test, y_test = x[:900], x[900:], y[900:]
    right = {"alone": 0.0, "helped": 0.0}
    for seed, name in product(range(3), right):
        labelled = torch.cat([(y[:900] == k).nonzero().flatten()[5 * seed : 5 * seed + 5] for k in range(10)])
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(
                *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
                *(nn.Flatten(), nn.Linear(512, 10)),
            )
        optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
        complement = ComplementGenerator(model, unlabelled, random_state=seed) if name == "helped" else None
        for _ in range(120):
            loss = F.cross_entropy(model(x[labelled]), y[labelled])
            loss = loss if complement is None else loss + complement.loss()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            right[name] += float((model.eval()(x_test).argmax(1) == y_test).float().mean()) / 3
    assert right["helped"] > right["alone"] + 0.005


@pytest.mark.parametrize(
    ("x", "settings", "error", "message"),
    [
        (X.double().long(), {}, DataError, "x must be a float tensor of unlabelled samples"),
        (X[0], {}, DataError, "x must be a float tensor of unlabelled samples"),
        (X[:0], {}, DataError, "x must be a float tensor of unlabelled samples"),
        (X.numpy(), {}, DataError, "got ndarray"),
        (X * 5, {}, DataError, r"x must have values in \[-1, 1\]"),
        (X * math.nan, {}, DataError, "x must be finite|x has"),
        (X, {"fakes": "mix"}, ConfigError, "Did you mean 'mixes'"),
        (X, {"weight": -1}, ConfigError, "weight"),
        (X, {"batch_size": 1}, ConfigError, "batch_size"),
    ],
)
def test_what_cannot_be_played_with_is_refused_by_name(x, settings, error, message):
    with pytest.raises(error, match=message):
        ComplementGenerator(classifier(), x, **settings)


def test_a_classifier_without_a_linear_layer_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ConfigError, match="a Linear layer at its end"):
        ComplementGenerator(model, torch.zeros(4, 1, 8, 8))
    with pytest.raises(ConfigError, match=r"model must take samples \(2, 4\) like x"):
        ComplementGenerator(model, X)


def test_images_and_tables_with_categories_are_played_with_too():
    images = torch.rand(20, 3, 12, 10) * 2 - 1
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.Flatten(), nn.Linear(8 * 5 * 4, 2))
    complement = ComplementGenerator(model, images, batch_size=8, random_state=0)
    complement.loss().backward()
    z, c = torch.randn(4, 32), torch.zeros(4, dtype=torch.int64)
    assert complement.G(z, c).shape == (4, 3, 12, 10)
    rows = torch.cat([F.one_hot(torch.arange(20) % 3, 3).float(), torch.rand(20, 2)], dim=1)
    complement = ComplementGenerator(classifier(5, 2), rows, blocks=(3, 1, 1), batch_size=8, random_state=0)
    complement.loss().backward()
    assert torch.allclose(complement.G(z, c)[:, :3].sum(1), torch.ones(4), atol=1e-5)


class HeadFirst(nn.Module):
    """Registers its head before its body, and a layer that nobody calls last."""

    def __init__(self):
        super().__init__()
        self.head, self.body, self.spare = nn.Linear(8, 3), nn.Linear(4, 8), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.body(x.mul_(1)).relu())  # writes over what it is given


def test_the_features_are_the_inputs_of_the_layer_that_gives_the_logits():
    model = HeadFirst()
    complement = ComplementGenerator(model, X, random_state=0)
    assert complement._last is model.head
    complement.loss().backward()
    assert model.spare.weight.grad is None


class Scaled(nn.Module):
    """Divides its logits."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.head(x) / 2


def test_scaled_logits_and_samples_that_give_no_number_are_no_obstacle():
    model = Scaled()
    complement = ComplementGenerator(model, X, random_state=0)
    assert complement._last is model.head
    standardised = nn.Sequential(nn.InstanceNorm1d(1), nn.Flatten(), nn.Linear(4, 2))
    assert feature_layer(standardised, torch.full((2, 1, 4), torch.nan)) is standardised[2]


def test_fakes_may_be_made_by_a_function():
    seen = []

    def noise(x, generator):
        seen.append(torch.rand(x.shape, generator=generator) * 2 - 1)
        return seen[-1]

    complement = ComplementGenerator(classifier(), X, fakes=noise, batch_size=16, random_state=0)
    complement.loss().backward()
    assert complement.G is None
    assert seen[0].shape == (16, 4)
    with pytest.raises(ConfigError, match="fakes must be one of"):
        ComplementGenerator(classifier(), X, fakes="noise")


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(4, 3), nn.Conv1d(1, 1, 1)),
        nn.Sequential(nn.Linear(4, 1)),
        nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)),  # by which nothing is less than any class
        nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)),
        nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3))),
        len,
    ],
)
def test_what_is_no_classifier_with_a_linear_end_is_refused(model):
    with pytest.raises(ConfigError, match="model must"):
        ComplementGenerator(model, X)


def test_a_classifier_that_lets_no_gradient_through_is_refused_by_name():
    class Shut(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            with torch.no_grad():
                x = x * 2
            return self.head(x)

    with pytest.raises(ConfigError, match="model must let gradients through to its input"):
        ComplementGenerator(Shut(), X, random_state=0).loss()


def test_double_precision_and_a_caller_without_gradients_are_no_obstacle():
    complement = ComplementGenerator(classifier().double(), X.double(), random_state=0)
    with torch.no_grad():
        loss = complement.loss()
    loss.backward()
    assert loss.dtype == torch.float32


def test_statistics_of_instance_norm_are_kept_too():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True), nn.Flatten(), nn.Linear(144, 2)
    )
    images = torch.rand(20, 1, 8, 8) * 2 - 1
    complement = ComplementGenerator(model, images, batch_size=8, random_state=0)
    seen = []
    hook = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    before = copy.deepcopy(model)
    complement.loss()
    hook.remove()
    before.train()(seen[0])
    assert torch.allclose(before[1].running_mean, model[1].running_mean, atol=1e-7)
