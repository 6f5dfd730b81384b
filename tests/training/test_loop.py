"""The loop: repeatable, logged when it says, stopped by what it is told, and it learns the classes."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from play import batches_of, digest, fresh, play, small
from torch import Tensor, nn

from ganaug.adversarial.diffaugment import diff_augment
from ganaug.adversarial.losses import Hinge
from ganaug.config import GANConfig
from ganaug.errors import ConfigError, TrainingInterrupted
from ganaug.generator import ConditionalGAN
from ganaug.networks import mlp
from ganaug.networks.conditioning import Transitional
from ganaug.training import loop
from ganaug.training.game import resolve_game
from ganaug.training.loop import train
from ganaug.training.state import GANState

CONFIG = small()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network": "resnet"},
        {"network": "style", "conditioning": "noisy"},
        {"network": "style-growing"},
        {"network": "r3gan", "loss": "relativistic", "regularizers": ("r1", "r2")},
        {"d_steps": 2, "diffaugment": ("color", "cutout")},
        {"loss": "logistic", "mutations": ("minimax", "heuristic", "least-squares"), "network": "style"},
        {"ada_target": 0.6, "regularizers": ("gradient-penalty", "dragan", "lecam")},
        {"precision": "bfloat16"},
    ],
)
def test_the_same_seed_gives_the_same_bytes_whatever_the_global_seed(changes: dict) -> None:
    config = replace(CONFIG, **changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first, history = play(config)
        torch.manual_seed(2)
        second, again = play(config)
    assert digest(second) == digest(first)
    assert again == history
    assert digest(play(config, seed=1)[0]) != digest(first)


@pytest.mark.parametrize("network", ["mlp", "style"])
def test_training_leaves_the_global_generator_alone(network: str) -> None:
    before = torch.get_rng_state()
    play(replace(CONFIG, network=network))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_g_that_draws_for_itself_draws_anew_in_each_step() -> None:
    drawn = []

    class Noisy(nn.Module):
        def __init__(self, G: nn.Module):
            super().__init__()
            self.G = G

        def forward(self, z: Tensor, c: Tensor) -> Tensor:
            if self.training:
                drawn.append(float(torch.randn(())))
            return self.G(z, c)

    def pair(**sizes):
        G, D = mlp(**sizes)
        return Noisy(G), D

    play(replace(CONFIG, network=pair, conditioning="projection"))
    assert len(set(drawn)) == len(drawn) == 4


@pytest.mark.parametrize(
    ("train_images", "log_every", "d_steps", "expected"),
    [
        (128, 32, 1, [32, 64, 96, 128]),
        (128, 50, 1, [64, 112, 128]),
        (100, 1000, 1, [112]),
        (64, 1, 1, [16, 32, 48, 64]),
        (128, 64, 2, [64, 128]),
    ],
)
def test_the_log_is_called_at_each_interval_and_at_the_end(
    train_images, log_every, d_steps, expected
) -> None:
    config = replace(CONFIG, train_images=train_images, log_every_images=log_every, d_steps=d_steps)
    calls = []
    _, history = play(config, shape=(3,), on_log=lambda s, line: calls.append((s.images_seen, line)))
    assert [seen for seen, _ in calls] == expected
    assert [line for _, line in calls] == history
    assert [line["images_seen"] for line in history] == expected
    named = {
        "images_seen",
        "penalty",
        "loss/D",
        "loss/G",
        "logits/real",
        "logits/fake",
        "right/real",
        "right/fake",
    }
    assert set(history[0]) == named | {
        "gradient/D",
        "gradient/G",
        "distance",
        "spread",
        "health",
        "sick",
        "sound",
    }
    assert {line["health"] for line in history} == {"good"}


def test_each_step_is_announced() -> None:
    seen = []
    play(CONFIG, on_step=seen.append)
    assert seen == [16, 32, 48, 64]
    seen.clear()
    play(replace(CONFIG, d_steps=2), on_step=seen.append)
    assert seen == [32, 64]


def test_a_line_holds_the_means_of_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[dict[str, Tensor]] = []
    original = GANState.add_figures

    def spy(state: GANState, figures: dict[str, Tensor]) -> None:
        noted.append(dict(figures))
        original(state, figures)

    monkeypatch.setattr(GANState, "add_figures", spy)
    _, (first, second) = play(CONFIG)
    for line, figures in ((first, noted[:2]), (second, noted[2:])):
        for name in ("loss/D", "loss/G", "gradient/G", "logits/fake"):
            assert line[name] == pytest.approx(float(sum(f[name] for f in figures)) / 2)


def test_d_is_shown_other_samples_in_each_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    original = loop.discriminator_step

    def spy(state, x, x_fake, c, **options):
        shown.append((x, x_fake, options["step"]))
        return original(state, x, x_fake, c, **options)

    monkeypatch.setattr(loop, "discriminator_step", spy)
    state, _ = play(replace(CONFIG, d_steps=3, train_images=96))
    assert [step for *_, step in shown] == list(range(6))
    for (x, fake, _), (y, other, _) in itertools.combinations(shown, 2):
        assert not torch.equal(x, y)
        assert not torch.equal(fake, other)
    steps = (
        {int(v["step"]) for v in state.opt_D.state.values()},
        {int(v["step"]) for v in state.opt_G.state.values()},
    )
    assert steps == ({6}, {2})


def rates(config: GANConfig, **options) -> list[tuple[float, float]]:
    """Return the learning rates of G and D at each step."""
    state = options.pop("state", None) or fresh(config)
    found = []

    def note(_: int) -> None:
        found.append(tuple(o.param_groups[0]["lr"] for o in (state.opt_G, state.opt_D)))

    play(config, state=state, on_step=note, **options)
    return found


def test_learning_rates_fall_linearly_to_zero_at_the_end() -> None:
    config = replace(
        CONFIG, train_images=1600, log_every_images=1600, lr_decay_from=0.5, lr_G=1.0e-3, lr_D=2e-3
    )
    found = rates(config)
    expected = [min(1.0, (1 - step / 100) / 0.5) for step in range(100)]
    assert [g for g, _ in found] == pytest.approx([1e-3 * e for e in expected])
    assert [d for _, d in found] == pytest.approx([2e-3 * e for e in expected])
    assert 0 < found[-1][0] < 0.03 * 1e-3
    assert set(rates(replace(config, lr_decay_from=1.0))) == {(1e-3, 2e-3)}
    assert rates(replace(config, lr_decay_from=0.0))[50] == pytest.approx((0.5e-3, 1e-3))


def test_a_state_that_stepped_back_goes_on_with_lower_rates() -> None:
    state = fresh(CONFIG)
    state.lr_scale = 0.25
    assert rates(CONFIG, state=state) == [pytest.approx((0.5e-4, 2e-4))] * 4


def test_the_chance_of_augmentation_follows_d(monkeypatch: pytest.MonkeyPatch) -> None:
    chances = []

    def noted(x, policy, generator, p):
        chances.append(float(p))
        return diff_augment(x, policy, generator, p)

    monkeypatch.setattr(loop, "diff_augment", noted)
    config = replace(CONFIG, ada_target=0.5, ada_ramp_images=160, train_images=160, diffaugment=("color",))
    state = fresh(config)
    with torch.no_grad():
        state.D.head.linear.bias += 50  # D believes everything
    state.sign_mean.fill_(1.0)
    play(config, state=state)
    assert chances[::2] == pytest.approx([0.1 * step for step in range(10)])
    assert float(state.augment_p) == pytest.approx(1.0)
    state = fresh(config)
    with torch.no_grad():
        state.D.head.linear.bias -= 50  # D believes nothing
    state.augment_p.fill_(0.8)
    play(config, state=state)
    assert float(state.augment_p) == pytest.approx(0, abs=1e-6)


def test_augmentation_without_a_target_is_for_every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    chances = []

    def noted(x, policy, generator, p):
        chances.append(p)
        return diff_augment(x, policy, generator, p)

    monkeypatch.setattr(loop, "diff_augment", noted)
    play(CONFIG)
    assert set(chances) == {1.0}


def test_a_transition_is_told_where_the_training_is() -> None:
    config = replace(CONFIG, conditioning=Transitional(start=16, end=48))
    state = fresh(config)
    scales = []
    play(
        config,
        state=state,
        on_step=lambda _: scales.append((state.G.embed.scale, state.D.head.scale, state.G_ema.embed.scale)),
    )
    assert scales == [(s, s, s) for s in (0.0, 0.5, 1.0, 1.0)]  # for the step that comes next


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_a_time_budget_ends_the_training_early_and_the_rest_can_follow(monkeypatch) -> None:
    clock = Clock()
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=clock.monotonic))

    def minute_of_work(_: int) -> None:
        clock.now += 60

    config = replace(CONFIG, train_images=128, max_minutes=3)
    state, history = play(config, on_step=minute_of_work)
    assert state.images_seen == 48
    assert [line["images_seen"] for line in history] == [32, 48]
    rest = fresh(config, seed=9)
    rest.load_tensors(state.tensors(), origin="memory")
    play(replace(config, max_minutes=None), state=rest, history=history)
    whole, _ = play(replace(config, max_minutes=None))
    weights = [{n: v for n, v in s.tensors().items() if n[0] in "GDo"} for s in (rest, whole)]
    assert digest(weights[0]) == digest(weights[1])
    assert [line["images_seen"] for line in history] == [32, 48, 64, 96, 128]


def test_a_quality_that_is_good_enough_ends_the_training() -> None:
    _, history = play(replace(CONFIG, train_images=320))
    distances = [line["distance"] for line in history]
    goal = sorted(distances)[len(distances) // 2]
    reached = next(i for i, d in enumerate(distances) if d <= goal)
    state, short = play(replace(CONFIG, train_images=320, target_distance=goal))
    assert short == history[: reached + 1]
    assert state.images_seen == history[reached]["images_seen"] < 320
    assert len(play(replace(CONFIG, train_images=320, target_distance=-1e9))[1]) == 10


def test_each_class_moves_to_its_own_kind_of_sample() -> None:
    config = replace(CONFIG, network="resnet", width=8, train_images=1600, ema_halflife_images=300)
    state, _ = play(config)
    z = torch.randn(100, 8, generator=torch.Generator().manual_seed(5))
    dark, bright = (state.G_ema(z, torch.full((100,), k)).mean((1, 2, 3)) for k in (0, 1))
    assert (dark < 0).float().mean() > 0.9
    assert (bright > 0).float().mean() > 0.9
    assert bright.mean() - dark.mean() > 0.5


def test_a_table_is_trained_without_image_augmentation() -> None:
    augmented, plain = (
        play(replace(CONFIG, diffaugment=policy), shape=(3,))[0] for policy in (("color",), ())
    )
    assert digest(augmented) == digest(plain)


def test_a_gradient_is_clipped_where_asked() -> None:
    free, clipped, loose = (digest(play(replace(CONFIG, clip_norm=limit))[0]) for limit in (None, 1e-4, 1e9))
    assert free != clipped
    assert free == loose


def test_unknown_names_are_found_before_training() -> None:
    refused: list[tuple[dict, str]] = [
        ({"loss": "hing"}, r"loss must be one of .*Did you mean 'hinge'\?"),
        ({"diffaugment": ("cutut",)}, r"diffaugment must be one of .*Did you mean 'cutout'\?"),
        ({"regularizers": ("r3",)}, r"regularizer must be one of .*Did you mean 'r"),
        (
            {"loss": "logistic", "mutations": ("heuristics",)},
            r"mutations must be one of .*Did you mean 'heuristic'\?",
        ),
    ]
    for changes, message in refused:
        with pytest.raises(ConfigError, match=message):
            resolve_game(GANConfig(**changes))
    with pytest.raises(ConfigError, match=r"network must be one of .*Did you mean 'resnet'\?"):
        play(GANConfig(network="resnt"))
    with pytest.raises(ConfigError, match="network for a table must be one of 'residual-mlp', 'mlp'"):
        play(GANConfig(network="resnet"), shape=(3,))
    with pytest.raises(ConfigError, match=r"conditioning must be one of .*Did you mean 'concat'\?"):
        play(GANConfig(conditioning="concats"))


@pytest.mark.parametrize("network", ["resnet-attention", "dcgan", "r3gan", "style", "style-growing"])
def test_a_network_for_images_is_refused_for_a_table_in_words(network: str) -> None:
    with pytest.raises(ConfigError, match="network for a table must be one of 'residual-mlp', 'mlp'"):
        play(GANConfig(network=network), shape=(3,))


def test_real_and_fake_both_go_through_diffaugment(monkeypatch, digits) -> None:
    calls = []

    def noted(x: Tensor, policy: tuple[str, ...], generator: torch.Generator, p: float) -> Tensor:
        calls.append((len(x), policy))
        return diff_augment(x, policy, generator, p)

    monkeypatch.setattr(loop, "diff_augment", noted)
    weights = []
    for policy in (("cutout",), ()):
        config = replace(CONFIG, train_images=16, diffaugment=policy)
        gan = ConditionalGAN(config=config, random_state=0).fit(*digits)
        weights.append(torch.cat([p.flatten() for p in gan.G_.parameters()]))
    assert calls[:2] == [(32, ("cutout",)), (16, ("cutout",))]  # D sees real and fake at once, then G
    assert not torch.equal(*weights)


def test_an_own_loss_is_asked_for_pairs_of_logits() -> None:
    asked = []

    class Own(Hinge):
        def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
            asked.append((len(real_logits), len(fake_logits)))
            return super().generator(real_logits, fake_logits)

    play(replace(CONFIG, loss=Own()))
    assert asked == [(16, 16)] * 4


def test_the_average_follows_g_with_its_half_life() -> None:
    config = replace(CONFIG, ema_halflife_images=16, ema_rampup=1e9)
    state = fresh(config)
    expected = [p.clone() for p in state.G.parameters()]

    def follow(_: int) -> None:
        for average, weight in zip(expected, state.G.parameters(), strict=True):
            average.lerp_(weight.detach(), 0.5)

    observe: Callable[[int], None] = torch.no_grad()(follow)
    play(config, state=state, on_step=observe)
    for average, weight in zip(expected, state.G_ema.parameters(), strict=True):
        torch.testing.assert_close(average, weight)
    assert not state.G_ema.training
    assert all(not p.requires_grad for p in state.G_ema.parameters())


def test_a_training_that_is_done_does_nothing() -> None:
    state, _ = play(CONFIG)
    before = digest(state)
    train(state, batches_of(CONFIG), CONFIG, seed=0, on_log=lambda *_: pytest.fail("a log"))
    assert digest(state) == before


@pytest.mark.parametrize("at", [CONFIG.batch_size, CONFIG.train_images])
def test_a_callback_may_end_the_training_after_any_step_also_the_last(at: int) -> None:
    wish, history = TrainingInterrupted("enough"), []

    def end(images_seen: int) -> None:
        if images_seen == at:
            raise wish

    with pytest.raises(TrainingInterrupted) as ended:
        play(CONFIG, on_step=end, history=history)
    assert ended.value is wish
    assert [line["images_seen"] for line in history][-1:] == ([at] if at == CONFIG.train_images else [])
