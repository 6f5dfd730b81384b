"""The ways to tell the class: what each head computes, what changes while training."""

import pytest
import torch
import torch.nn.functional as F

from ganaug.errors import ConfigError
from ganaug.networks.conditioning import CONDITIONING, Auxiliary, Noisy, Transitional
from ganaug.networks.resnet import resnet

H = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
C = torch.tensor([0, 1, 2, 1, 0])


def test_the_projection_head_adds_the_class_to_a_linear_logit() -> None:
    head = CONDITIONING["projection"].head(4, 3)
    w, b, v = head.linear.weight, head.linear.bias, head.embed.weight
    expected = torch.stack([w[0] @ H[i] + b[0] + v[C[i]] @ H[i] for i in range(5)])
    torch.testing.assert_close(head(H, C), expected)


def test_the_concat_head_sees_class_and_features_together() -> None:
    head = CONDITIONING["concat"].head(4, 3)
    logits = torch.stack([head(H, torch.full((5,), c)) for c in range(3)], dim=1)
    shift = logits - logits[:, :1]
    assert shift.std(0)[1:].min() > 1e-4  # the class does not merely add a constant


def test_the_cost_of_the_auxiliary_head_is_the_cross_entropy() -> None:
    head = Auxiliary(weight=0.5).head(4, 3)
    answer = head(H, C)
    expected = 0.5 * torch.stack([-F.log_softmax(head.classify(H[i]), 0)[C[i]] for i in range(5)])
    torch.testing.assert_close(answer.cost, expected)
    assert answer.weight.tolist() == [1]
    torch.testing.assert_close(head(H, (C + 1) % 3).logits, answer.logits)  # the logit ignores the class


@pytest.mark.parametrize(("images_seen", "scale"), [(0, 0), (100, 0), (150, 0.5), (200, 1), (999, 1)])
def test_transitional_weights_rise_from_start_to_end(images_seen: int, scale: float) -> None:
    way = Transitional(start=100, end=200)
    embedding, head = way.embedding(3, 4), way.head(4, 3)
    full = embedding(C)
    assert head(H, C).weight.tolist() == [1, 1]
    embedding.at(images_seen)
    head.at(images_seen)
    torch.testing.assert_close(embedding(C), scale * full)
    assert head(H, C).weight.tolist() == [1, scale]


def test_transitional_training_starts_without_and_ends_with_the_class() -> None:
    way = Transitional(start=100, end=200)
    G, D = resnet(shape=(1, 8, 8), n_classes=3, z_dim=4, width=4, conditioning=way)
    G.eval()
    z, c = torch.randn(1, 4).expand(3, -1), torch.arange(3)
    never_told = G(z, c)

    def told(images_seen: int) -> torch.Tensor:
        for module in (*G.modules(), *D.modules()):
            if hasattr(module, "at"):
                module.at(images_seen)
        return G(z, c)

    assert torch.equal(told(0)[0], told(0)[1])
    assert D(told(0), c).weight.tolist() == [1, 0]
    assert torch.equal(told(200), never_told)
    logits = D(told(0), c).logits
    assert logits[:, 0].std() < 1e-6 < logits[:, 1].std()


def test_the_rarer_a_class_the_noisier_its_embedding() -> None:
    embedding = Noisy(sigma=0.5).embedding(3, 4000)
    embedding.set_class_counts(torch.tensor([1000, 30, 1]))
    share = torch.tensor([1 / (1 - 0.99**n) for n in (1000, 30, 1)])
    torch.testing.assert_close(embedding.scale, share / share[2])
    c = torch.arange(3)
    deviation = (embedding(c) - embedding.embed(c)).std(1)
    torch.testing.assert_close(deviation, 0.5 * embedding.scale, rtol=0.1, atol=0)
    assert deviation[0] < deviation[1] < deviation[2]
    embedding.eval()
    assert torch.equal(embedding(c), embedding.embed(c))


def test_the_rarest_class_has_scale_one_and_an_empty_class_counts_as_one_sample() -> None:
    embedding = Noisy().embedding(3, 4)
    embedding.set_class_counts(torch.tensor([500, 50, 20]))
    assert embedding.scale[2] == 1
    embedding.set_class_counts(torch.tensor([500, 0, 1]))
    assert embedding.scale[1] == embedding.scale[2] == 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (lambda: Auxiliary(weight=0), "weight must be"),
        (lambda: Transitional(start=-1), "start must be"),
        (lambda: Transitional(start=5, end=5), "end must be above start"),
        (lambda: Noisy(sigma=-1), "sigma must be"),
    ],
)
def test_a_bad_number_is_refused_by_name(bad, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bad()
