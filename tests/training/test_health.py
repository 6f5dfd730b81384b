"""Trouble is seen, told and handled: skipped, gone back from, and at last stopped with the best kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from play import batches_of, digest, fresh, play, small
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn

import ganaug
from ganaug.adversarial.losses import Hinge
from ganaug.adversarial.regularizers import Regularizer
from ganaug.errors import GanaugWarning, TrainingDivergedError
from ganaug.networks import mlp
from ganaug.training.health import MAX_FLAT, MAX_ROLLBACKS, MAX_SKIPS, MAX_WON, VANISHED, Health
from ganaug.training.quality import Quality
from ganaug.training.state import GANState

CONFIG = small(train_images=512, log_every_images=64)
LONG = small(train_images=2000, log_every_images=400)  # 25 steps: room for all steps back in an interval
BACK = "back to the last sound state, rates times "


class Faulty(Hinge):
    """Hinge times a factor in some calls of one side."""

    def __init__(self, side: str, factor: float, *, start: int, end: float = float("inf")):
        self.side, self.factor, self.start, self.end, self.calls = side, factor, start, end, 0

    def _fault(self, side: str) -> float:
        self.calls += side == self.side
        return self.factor if side == self.side and self.start <= self.calls < self.end else 1.0

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().discriminator(real_logits, fake_logits) * self._fault("D")

    def generator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        return super().generator(real_logits, fake_logits) * self._fault("G")


NAN = float("nan")


def finite(state: GANState) -> bool:
    return all(bool(torch.isfinite(v).all()) for v in state.tensors().values())


def diverge(config, state: GANState) -> tuple[TrainingDivergedError, list[dict]]:
    history: list[dict] = []
    with pytest.raises(TrainingDivergedError) as told:
        play(config, state=state, history=history)
    return told.value, history


# --- steps that are skipped -----------------------------------------------------------------------


@pytest.mark.parametrize("side", ["D", "G"])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_one_step_that_is_not_finite_is_skipped_and_told(side: str, value: float) -> None:
    state, history = play(replace(CONFIG, loss=Faulty(side, value, start=6, end=7)))
    assert finite(state)
    expected = ["good", "skipped 1 steps without a finite gradient", *["good"] * 6]
    assert [line["health"] for line in history] == expected
    assert (state.n_rollbacks, state.lr_scale) == (0, 1.0)
    steps = {float(v["step"]) for v in (state.opt_D if side == "D" else state.opt_G).state.values()}
    assert steps == {31.0}
    assert all(np.isfinite(v) for line in history for v in line.values() if isinstance(v, float))


def test_a_skipped_first_step_of_d_is_told_too() -> None:
    config = replace(CONFIG, d_steps=2, loss=Faulty("D", NAN, start=5, end=6))
    state, history = play(config)
    assert finite(state)
    assert any("skipped 1 steps" in line["health"] for line in history)


def test_fewer_than_the_limit_in_a_row_are_no_reason_to_step_back() -> None:
    state, history = play(replace(CONFIG, loss=Faulty("D", NAN, start=6, end=5 + MAX_SKIPS)))
    assert state.n_rollbacks == 0
    assert sum("skipped" in line["health"] for line in history) >= 1


# --- stepping back --------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["D", "G"])
def test_a_training_that_is_never_finite_again_steps_back_thrice_and_stops(side: str) -> None:
    config = replace(LONG, loss=Faulty(side, NAN, start=27))
    state = fresh(config)
    error, history = diverge(config, state)
    assert [line["health"].split("; ")[-1] for line in history] == [
        "good",
        *(BACK + f"{0.5**n:g}" for n in range(1, MAX_ROLLBACKS + 1)),
        f"given up after {MAX_ROLLBACKS} steps back",
    ]
    assert all("5 steps in a row without a finite gradient" in line["health"] for line in history[1:])
    assert error.images_kept == 400
    assert "diverged by" in str(error)
    assert "Lower lr_G and lr_D" in str(error)
    assert finite(state)
    sound, _ = play(replace(LONG, train_images=400))
    for name in ("G", "D", "G_ema"):
        expected = getattr(sound, name).state_dict()
        assert digest(getattr(state, name).state_dict()) == digest(expected)


def test_an_interval_that_ends_amid_skipped_steps_is_not_yet_a_sound_one() -> None:
    config = replace(CONFIG, loss=Faulty("D", NAN, start=7))
    error, _ = diverge(config, fresh(config))
    assert error.images_kept == 64


def test_a_step_back_restores_the_sound_state_each_time() -> None:
    state, _ = play(CONFIG)
    state.opt_G.param_groups[0]["lr"] = state.opt_D.param_groups[0]["lr"] = 1e-4
    health = Health(state)
    sound = {n: v.detach().clone() for n, v in state.tensors().items()}
    for n in (1, 2, 3):
        play(replace(CONFIG, train_images=512 + 64 * n), state=state)
        seen = state.images_seen
        health.go_back(state)
        assert (state.images_seen, state.n_rollbacks, state.lr_scale) == (seen, n, 0.5**n)
        changed = [k for k, v in state.tensors().items() if not torch.equal(v, sound[k])]
        assert set(changed) <= {"counts.images_seen", "counts.n_rollbacks", "counts.lr_scale"}


def test_a_trouble_that_passes_with_lower_rates_is_survived() -> None:
    state, history = play(replace(CONFIG, loss=Faulty("D", NAN, start=10, end=10 + MAX_SKIPS)))
    assert state.images_seen == 512
    assert (state.n_rollbacks, state.lr_scale) == (1, 0.5)
    assert [BACK + "0.5" in line["health"] for line in history].count(True) == 1
    assert history[-1]["health"] == "good"
    assert state.opt_G.param_groups[0]["lr"] == CONFIG.lr_G / 2


def test_random_numbers_do_not_come_again_after_a_step_back() -> None:
    _, history = play(replace(CONFIG, loss=Faulty("D", NAN, start=10, end=10 + MAX_SKIPS)))
    seen = [line["images_seen"] for line in history]
    assert seen == sorted(set(seen))


def test_what_was_kept_is_drawn_from_in_memory_and_from_the_folder(digits, tmp_path: Path) -> None:
    config = replace(LONG, loss=Faulty("G", NAN, start=27))
    gan = ganaug.ConditionalGAN(config=config, random_state=0)
    with pytest.raises(TrainingDivergedError) as told:
        gan.fit(*digits, out=tmp_path / "run")
    assert told.value.images_kept == 400
    sound = ganaug.ConditionalGAN(config=replace(LONG, train_images=400), random_state=0).fit(*digits)
    expected = sound.generate(5, random_state=1)[0]
    np.testing.assert_array_equal(gan.generate(5, random_state=1)[0], expected)
    np.testing.assert_array_equal(ganaug.load(tmp_path / "run").generate(5, random_state=1)[0], expected)


def test_the_best_snapshot_survives_a_step_back() -> None:
    config = replace(LONG, snapshot="best", loss=Faulty("G", NAN, start=52))
    state = fresh(config)
    _, history = diverge(config, state)
    assert [line["health"] for line in history[:2]] == ["good", "good"]
    sound, _ = play(replace(LONG, snapshot="best", train_images=800))
    assert len(sound.snapshots) > 0
    assert digest(state.snapshots.tensors()) == digest(sound.snapshots.tensors())


def test_a_training_that_was_never_sound_keeps_nothing(digits, tmp_path: Path) -> None:
    gan = ganaug.ConditionalGAN(config=replace(LONG, loss=Faulty("G", NAN, start=1)), random_state=0)
    with pytest.raises(TrainingDivergedError) as told:
        gan.fit(*digits, out=tmp_path / "run")
    assert told.value.images_kept is None
    assert not (tmp_path / "run" / "generator.safetensors").exists()
    with pytest.raises(NotFittedError):
        gan.generate(3)


# --- the end of a training --------------------------------------------------------------------------


ENDS_ILL = replace(LONG, train_images=800)


def test_an_only_interval_that_goes_wrong_leaves_nothing_to_draw_from(digits, tmp_path: Path) -> None:
    config = replace(LONG, train_images=400, loss=Faulty("D", NAN, start=21))
    gan = ganaug.ConditionalGAN(config=config, random_state=0)
    with pytest.raises(TrainingDivergedError, match="diverged by 400 images") as told:
        gan.fit(*digits, out=tmp_path / "run")
    assert told.value.images_kept is None
    assert not (tmp_path / "run" / "generator.safetensors").exists()
    with pytest.raises(NotFittedError):
        gan.generate(3)


def test_a_training_that_diverged_at_its_end_is_not_healed_by_resuming_it(digits, tmp_path: Path) -> None:
    config = replace(LONG, train_images=400, loss=Faulty("D", NAN, start=21))
    for resume in (False, True):
        gan = ganaug.ConditionalGAN(config=config, random_state=0)
        with pytest.raises(TrainingDivergedError):
            gan.fit(*digits, out=tmp_path / "run", resume=resume)
    assert not (tmp_path / "run" / "generator.safetensors").exists()


@pytest.mark.parametrize("side", ["D", "G"])
def test_a_last_interval_that_goes_wrong_leaves_the_generator_of_the_one_before(
    digits, tmp_path: Path, side: str
) -> None:
    gan = ganaug.ConditionalGAN(config=replace(ENDS_ILL, loss=Faulty(side, NAN, start=46)), random_state=0)
    with pytest.warns(GanaugWarning, match="went wrong at its end .*generator is that of 400 images"):
        gan.fit(*digits, out=tmp_path / "run")
    sound = ganaug.ConditionalGAN(config=replace(LONG, train_images=400), random_state=0).fit(*digits)
    expected = sound.generate(5, random_state=1)[0]
    np.testing.assert_array_equal(gan.generate(5, random_state=1)[0], expected)
    np.testing.assert_array_equal(ganaug.load(tmp_path / "run").generate(5, random_state=1)[0], expected)


def test_a_training_without_a_single_step_is_none() -> None:
    """Fewer steps than it takes to go back, and all of them skipped: G is as it was drawn."""
    config = small(train_images=64, log_every_images=64, loss=Faulty("D", NAN, start=1))
    assert config.train_images // config.batch_size < MAX_SKIPS
    error, _ = diverge(config, fresh(config))
    assert error.images_kept is None


def test_a_sick_interval_does_not_reach_the_target_distance() -> None:
    config = replace(LONG, train_images=400, target_distance=1e9, loss=Faulty("D", NAN, start=1))
    error, _ = diverge(config, fresh(config))
    assert error.images_kept is None


def flat_pair(**sizes):
    G, D = mlp(**sizes)
    return Flat(G), D


class Flat(nn.Module):
    """A generator that looks at the noise from some moment on only."""

    def __init__(self, G: nn.Module):
        super().__init__()
        self.G, self.awake = G, False

    def at(self, images_seen: int) -> None:
        self.awake = images_seen >= 400

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.G(z if self.awake or self.training else torch.zeros_like(z), c)


@pytest.mark.parametrize("stop", [64, *(pytest.param(n, marks=pytest.mark.slow) for n in (128, 192, 320))])
def test_a_run_that_began_without_spread_goes_on_the_same_after_a_stop(digits, tmp_path, stop: int) -> None:
    """The explosion sends it back to the first state, which must still be there after the stop."""

    def config(end: int) -> ganaug.GANConfig:
        own = {"network": flat_pair, "keep_checkpoints": 1, "loss": Faulty("G", 1e8, start=13, end=15)}
        return replace(CONFIG, **own, train_images=end)

    whole = ganaug.ConditionalGAN(config=config(512), random_state=0).fit(*digits, out=tmp_path / "whole")
    assert not whole.history_[0]["sound"]
    ganaug.ConditionalGAN(config=config(stop), random_state=0).fit(*digits, out=tmp_path / "run")
    loss = Faulty("G", 1e8, start=13, end=15)
    loss.calls = stop // 16
    again = ganaug.ConditionalGAN(config=replace(config(512), loss=loss), random_state=0)
    again.fit(*digits, out=tmp_path / "run", resume=True)
    assert [line["health"] for line in again.history_] == [line["health"] for line in whole.history_]
    assert any("back to" in line["health"] for line in whole.history_)
    assert digest(again.G_.state_dict()) == digest(whole.G_.state_dict())


def test_a_run_that_ended_ill_without_any_spread_is_not_healed_by_resuming_it(digits, tmp_path) -> None:
    config = replace(LONG, network=blind_pair, train_images=400, loss=Faulty("D", NAN, start=21))
    for resume in (False, True):
        with pytest.raises(TrainingDivergedError):
            ganaug.ConditionalGAN(config=config, random_state=0).fit(
                *digits, out=tmp_path / "run", resume=resume
            )
    assert not (tmp_path / "run" / "generator.safetensors").exists()


# --- weights that are no numbers --------------------------------------------------------------------


def broken_place(state: GANState, where: str) -> Tensor:
    buffers = dict(state.G.named_buffers())
    return {
        "G": next(state.G.parameters()),
        "D": next(state.D.parameters()),
        "statistics of G": next(v for n, v in buffers.items() if n.endswith("running_var")),
    }[where]


@pytest.mark.parametrize("where", ["G", "D", "statistics of G"])
def test_a_state_with_a_broken_weight_is_never_the_one_to_go_back_to(where: str) -> None:
    state = fresh(CONFIG)

    def break_at_the_end_of_an_interval(images_seen: int) -> None:
        if images_seen == 192:
            broken_place(state, where).data.view(-1)[0] = NAN

    _, history = play(CONFIG, state=state, on_step=break_at_the_end_of_an_interval)
    healths = [line["health"] for line in history]
    assert healths[2] == f"not finite: weights of {where[-1]}; {BACK}0.5"
    assert healths[:2] + healths[3:] == ["good"] * 7
    assert [line["sound"] for line in history] == [True, True, False, *[True] * 5]
    assert finite(state)
    assert (state.images_seen, state.n_rollbacks) == (512, 1)


def test_a_weight_that_breaks_at_the_very_end_gives_the_sound_generator() -> None:
    state = fresh(CONFIG)

    def break_at_the_end(images_seen: int) -> None:
        if images_seen == 512:
            broken_place(state, "D").data.view(-1)[0] = NAN

    with pytest.warns(GanaugWarning, match="448 images"):
        play(CONFIG, state=state, on_step=break_at_the_end)
    sound, _ = play(replace(CONFIG, train_images=448))
    assert digest(state.G_ema.state_dict()) == digest(sound.G_ema.state_dict())


# --- explosions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["D", "G"])
def test_a_gradient_that_explodes_is_seen(side: str) -> None:
    _, history = play(replace(CONFIG, loss=Faulty(side, 1e8, start=17, end=21)))
    assert [i for i, line in enumerate(history) if "exploded" in line["health"]] == [4]
    assert history[4]["health"].startswith(f"gradient/{side} exploded to")
    assert history[4]["health"].endswith(BACK + "0.5")


class Explosive(Regularizer):
    """A penalty that grows out of all proportion after some steps."""

    needs_gradient = False
    calls = 0

    def penalty(self, duel) -> Tensor:
        self.calls += 1
        small_one = 1e-3 * duel.logits.unflatten(0, (2, -1))[0].square()
        return small_one * (1e8 if self.calls > 16 else 1)


def test_a_penalty_that_explodes_is_seen() -> None:
    config = replace(CONFIG, regularizers=("spectral-norm", Explosive()), clip_norm=1e-3, diffaugment=())
    error, history = diverge(config, fresh(config))
    assert "exploded" in history[4]["health"]
    assert error.images_kept == 256


# --- collapse -------------------------------------------------------------------------------------


class Collapses(nn.Module):
    """A generator that forgets the noise after a number of images."""

    def __init__(self, G: nn.Module):
        super().__init__()
        self.G, self.blind = G, False

    def at(self, images_seen: int) -> None:
        self.blind = images_seen > 192

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.G(torch.zeros_like(z) if self.blind and not self.training else z, c)


def collapsing_pair(**sizes):
    G, D = mlp(**sizes)
    return Collapses(G), D


def test_a_g_that_forgets_the_noise_is_seen_and_gone_back_from() -> None:
    config = replace(CONFIG, network=collapsing_pair, train_images=1024)
    error, history = diverge(config, fresh(config))
    healths = [line["health"] for line in history]
    assert healths[:4] == ["good"] * 3 + ["collapse of 2 classes, first 0"]
    assert healths[4].startswith("collapse of 2 classes, first 0; " + BACK)
    assert history[3]["spread"] < 1e-3 < history[2]["spread"]
    assert error.images_kept == 192


class Blind(Collapses):
    """A generator that never looks at the noise."""

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        return self.G(torch.zeros_like(z), c)


def blind_pair(**sizes):
    G, D = mlp(**sizes)
    return Blind(G), D


def test_a_g_that_never_looked_at_the_noise_is_told_after_some_intervals() -> None:
    config = replace(CONFIG, network=blind_pair, train_images=64 * MAX_FLAT * (MAX_ROLLBACKS + 1))
    error, history = diverge(config, fresh(config))
    told = [i + 1 for i, line in enumerate(history) if "2 classes without any spread" in line["health"]]
    assert told == [MAX_FLAT * n for n in range(1, MAX_ROLLBACKS + 2)]
    assert "2 classes without any spread" in str(error)


LINE = {"gradient/D": 1.0, "gradient/G": 1.0, "distance": 1.0, "right/real": 0.5, "right/fake": 0.5}


def test_a_class_whose_samples_become_alike_is_named() -> None:
    state = fresh(CONFIG)
    health = Health(state)
    assert health.diagnose(state, LINE, torch.tensor([0.8, 0.5, 0.6]), []) == (False, "good")
    assert health.diagnose(state, LINE, torch.tensor([0.3, 0.2, 0.9]), []) == (False, "good")
    told = "collapse of 1 classes, first 1"
    assert health.diagnose(state, LINE, torch.tensor([0.8, 0.01, 0.9]), []) == (False, told)
    assert health.diagnose(state, LINE, torch.tensor([0.8, 0.6, 0.9]), []) == (False, "good")  # a dip
    assert health.diagnose(state, LINE, torch.tensor([0.8, 0.01, 0.9]), []) == (False, told)
    assert health.diagnose(state, LINE, torch.tensor([0.8, 0.01, 0.9]), []) == (True, told)
    torch.testing.assert_close(state.best_spread, torch.tensor([0.8, 0.6, 0.9]))


def test_a_class_that_comes_to_life_in_time_was_only_late() -> None:
    state = fresh(CONFIG)
    health = Health(state)
    flat, alive = torch.tensor([0.005, 0.8]), torch.tensor([0.015, 0.8])
    for spread in (*[flat] * (MAX_FLAT - 1), alive, *[flat] * (MAX_FLAT - 1)):
        assert not health.diagnose(state, LINE, spread, [])[0]
    sick, told = health.diagnose(state, LINE, flat, [])
    assert (sick, told) == (True, f"1 classes without any spread in {MAX_FLAT} intervals")


@pytest.mark.parametrize("side", ["D", "G"])
def test_a_gradient_far_below_its_median_has_vanished(side: str) -> None:
    state, name = fresh(CONFIG), f"gradient/{side}"
    earlier = [LINE | {name: value} for value in (2.0, 2.0, 500.0)]
    sick, told = Health(state).diagnose(state, LINE | {name: VANISHED}, torch.ones(2), earlier)
    assert (sick, told) == (True, f"{name} vanished: 0.0001")
    for line, history in (({name: 3 * VANISHED}, earlier), ({name: 0.0}, earlier[:2])):
        assert Health(state).diagnose(state, LINE | line, torch.ones(2), history) == (False, "good")


def test_a_g_that_is_taught_nothing_any_more_is_seen() -> None:
    _, history = play(replace(CONFIG, loss=Faulty("G", 1e-9, start=17, end=21)))
    assert [i for i, line in enumerate(history) if line["health"] != "good"] == [4]
    assert history[4]["health"].startswith("gradient/G vanished: ")
    assert history[4]["health"].endswith(BACK + "0.5")


def test_a_class_that_never_had_any_spread_has_not_collapsed() -> None:
    state = fresh(CONFIG)
    health = Health(state)
    for spread in (0.01, 0.02, 0.009):
        assert health.diagnose(state, LINE, torch.tensor([spread]), []) == (False, "good")


def test_a_class_of_equal_samples_has_no_spread_to_lose() -> None:
    c = torch.arange(60) % 2
    x = torch.randn(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)).tanh()
    x[c == 1] = x[1].clone()
    state, history = play(replace(CONFIG, train_images=256), data=(x, c))
    assert {line["health"] for line in history} == {"good"}
    assert state.images_seen == 256


def test_a_figure_that_is_no_number_is_named() -> None:
    state = fresh(CONFIG)
    sick, told = Health(state).diagnose(state, LINE | {"loss/D": NAN}, torch.ones(2), [])
    assert (sick, told) == (True, "not finite: loss/D")


def test_a_d_that_is_always_right_is_told_and_goes_on() -> None:
    state = fresh(CONFIG)
    line = LINE | {"right/real": 0.995, "right/fake": 1.0}
    sick, told = Health(state).diagnose(state, line, torch.ones(2), [])
    assert not sick
    assert told.startswith("D is right on every sample: lower lr_D")
    for half in ("right/real", "right/fake"):
        line = LINE | {"right/real": 1.0, "right/fake": 1.0} | {half: 0.9}
        assert Health(state).diagnose(state, line, torch.ones(2), []) == (False, "good")


def test_saturation_is_seen_in_a_real_game() -> None:
    config = replace(CONFIG, loss="non-saturating", regularizers=(), lr_D=0.05, lr_G=1e-6, diffaugment=())
    _, history = play(config)
    assert "D is right on every sample" in history[-1]["health"]


WON = LINE | {"right/real": 1.0, "right/fake": 1.0}


def untrained_at_10() -> GANState:
    state = fresh(CONFIG)
    state.began = torch.tensor(10.0)
    return state


@pytest.mark.parametrize(
    ("line", "spread"),
    [(WON | {"distance": 8.0}, 1.0), (WON, 0.001)],
    ids=["no nearer to the data than it began", "without spread"],
)
def test_a_d_that_has_won_is_gone_back_from(line: dict, spread: float) -> None:
    state = untrained_at_10()
    health = Health(state)
    for n in range(1, MAX_WON):
        sick, told = health.diagnose(state, line, torch.full((2,), spread), [])
        assert (sick, state.n_won) == (False, n)
        assert told.startswith("D is right on every sample")
        assert not health.remember(state)
    sick, told = health.diagnose(state, line, torch.full((2,), spread), [])
    assert (sick, told.split(":")[0]) == (True, "D has won")
    health.go_back(state)
    assert (state.n_won, state.lr_scale, float(state.began)) == (0, 0.5, 10.0)


@pytest.mark.parametrize(
    "change",
    [{"distance": 6.0}, {"distance": 10.0, "right/fake": 0.9}, {"distance": 10.0, "right/real": 0.9}],
    ids=["G still learns", "right on real ones only", "right on fake ones only"],
)
def test_a_d_that_is_not_yet_the_winner_goes_on(change: dict) -> None:
    state = untrained_at_10()
    health = Health(state)
    for _ in range(2 * MAX_WON):
        assert not health.diagnose(state, WON | change, torch.ones(2), [])[0]
    assert state.n_won == 0


def test_a_winner_of_few_intervals_is_forgotten() -> None:
    state = untrained_at_10()
    health = Health(state)
    for distance in (*[10.0] * (MAX_WON - 1), 5.0, *[10.0] * (MAX_WON - 1)):
        assert not health.diagnose(state, WON | {"distance": distance}, torch.ones(2), [])[0]


def test_a_saturating_loss_that_stops_g_is_handled_in_a_real_game() -> None:
    config = small(
        train_images=4096,
        log_every_images=256,
        loss="minimax",
        regularizers=(),
        diffaugment=(),
        lr_D=0.05,
        lr_G=1e-3,
    )
    _, history = play(config)
    told = [line["health"] for line in history if "D has won" in line["health"]]
    assert told[0].endswith(BACK + "0.5")
    rescued, history = play(replace(config, loss="non-saturating"))
    assert rescued.images_seen == 4096
    assert history[-1]["distance"] < 0.5 * history[0]["distance"]


# --- and no false alarms --------------------------------------------------------------------------

SOUND = {
    "quick": {"network": "resnet", "ema_halflife_images": 500},
    "mlp": {"width": 16},
    "relativistic": {"network": "r3gan", "loss": "relativistic", "regularizers": ("r1", "r2")},
    "wgan-gp": {"loss": "wasserstein", "regularizers": ("gradient-penalty",)},
    "lazy r1, lecam": {"loss": "logistic", "regularizers": ("r1", "lecam"), "ada_target": 0.6},
    "least-squares": {"loss": "least-squares", "conditioning": "transitional", "ada_target": 0.6},
    "a decay to nothing": {"lr_decay_from": 0.0},
    "evolution": {"loss": "logistic", "mutations": ("minimax", "heuristic", "least-squares")},
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_training_raises_no_alarm(kind: str, digits) -> None:
    X, y = digits
    x = torch.from_numpy(X).float()[:, None] / 8 - 1
    c = torch.from_numpy(np.searchsorted(np.unique(y), y))
    config = small(**{"train_images": 960, "log_every_images": 96, "batch_size": 32, **SOUND[kind]})
    for seed in range(5):
        state = fresh(config, seed=seed, n_classes=3)
        _, history = play(config, seed=seed, state=state, data=(x, c))
        told = {line["health"] for line in history}
        assert told <= {
            "good",
            "D is right on every sample: lower lr_D, or add a regularizer such as 'r1'",
        }, (
            kind,
            seed,
        )
        assert history[-1]["sound"]
        assert state.n_rollbacks == 0


def test_the_measure_of_spread_that_health_reads_is_that_of_the_average() -> None:
    state, history = play(CONFIG)
    quality = Quality(batches_of(CONFIG), z_dim=CONFIG.z_dim, interval=64, seed=0)
    distance, spread = quality.measure(state)
    assert history[-1]["spread"] == pytest.approx(float(spread.min()))
    assert history[-1]["distance"] == pytest.approx(float(distance.mean()))
