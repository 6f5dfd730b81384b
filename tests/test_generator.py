"""ConditionalGAN: exact counts in the caller's own types, repeatable, saved whole or not at all."""

import hashlib
import json
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch.utils.data import TensorDataset

from ganaug import CheckpointError, ConditionalGAN, ConfigError, DataError, GANConfig, OutputExistsError, load
from ganaug.adversarial.losses import Hinge
from ganaug.errors import TrainingDivergedError
from ganaug.networks import mlp
from ganaug.networks.conditioning import Auxiliary, Noisy, ProjectionHead, Transitional


@pytest.fixture(scope="module")
def gan(digits, tiny) -> ConditionalGAN:
    return ConditionalGAN(config=tiny, random_state=0).fit(*digits, names=["one", "four", "seven"])


def contents(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest()
        for f in folder.rglob("*")
        if f.is_file()
    }


def test_counts_are_exact_and_classes_come_in_the_asked_order(gan) -> None:
    X, y = gan.generate({7: 3, "1": 2, "four": 4})
    assert y.tolist() == [7, 7, 7, 1, 1, 4, 4, 4, 4]
    assert y.dtype == np.int64
    assert X.shape == (9, 8, 8)
    assert X.dtype == np.uint8
    assert X.max() <= 16
    assert gan.generate(2)[1].tolist() == [1, 1, 4, 4, 7, 7]


def test_zero_samples_are_none_of_the_right_kind(gan) -> None:
    X, y = gan.generate({7: 0})
    assert X.shape == (0, 8, 8)
    assert X.dtype == np.uint8
    assert len(y) == 0


@pytest.mark.parametrize("layout", ["nhw", "nhwc", "nchw"])
def test_samples_have_the_layout_dtype_and_range_of_the_real_ones(digits, tiny, layout: str) -> None:
    X, y = digits
    colour = np.repeat((X / 16).astype(np.float32)[:, None], 3, axis=1)
    data = {"nhw": colour[:, 0], "nhwc": np.moveaxis(colour, 1, -1), "nchw": colour}[layout]
    config = replace(tiny, network="auto")
    made, _ = ConditionalGAN(config=config, random_state=0).fit(data, y).generate(5)
    assert made.shape == (15, *data.shape[1:])
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1


def test_a_frame_gives_frames_and_a_series(table, tiny) -> None:
    X, y = table
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(n=np.arange(80), flag=X[:, 0] > 0)
    made, labels = ConditionalGAN(config=tiny, random_state=0).fit(frame, pd.Series(y, name="y")).generate(4)
    assert made.dtypes.to_dict() == frame.dtypes.to_dict()
    assert list(made.columns) == list(frame.columns)
    assert labels.name == "y"
    assert labels.tolist() == ["no"] * 4 + ["yes"] * 4
    assert ((made >= frame.min()) & (made <= frame.max())).all(axis=None)


def customers() -> tuple[pd.DataFrame, pd.Series]:
    """Return 80 rows of text, categories, booleans, integers, dates and missing cells."""
    n, rng = 80, np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "income": np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(size=n)),
            "town": rng.choice(["Ulm", "Bonn", None], n),
            "grade": pd.Categorical(rng.choice(["low", "high"], n), ["low", "mid", "high"], ordered=True),
            "member": rng.random(n) < 0.4,
            "visits": pd.array(rng.poisson(2, n), dtype="Int64"),
            "since": pd.date_range("2020-01-01", periods=n),
            "country": "DE",
        }
    )
    return frame, pd.Series(np.repeat(["stays", "leaves"], [60, 20]), name="outcome")


@pytest.mark.parametrize("pack", [1, 4])
def test_a_frame_of_mixed_columns_travels_with_its_dtypes(tiny, tmp_path: Path, pack: int) -> None:
    X, y = customers()
    config = replace(tiny, network="auto", pack=pack, matching=("moments",))
    fitted = ConditionalGAN(config=config, random_state=0).fit(X, y)
    fitted.save(tmp_path)
    made, labels = fitted.generate(30, random_state=1)
    again, _ = load(tmp_path).generate(30, random_state=1)
    pd.testing.assert_frame_equal(made, again)
    assert made.dtypes.to_dict() == X.dtypes.to_dict()
    assert labels.value_counts().to_dict() == {"stays": 30, "leaves": 30}
    assert set(made["town"].dropna()) <= {"Ulm", "Bonn"}
    assert made["since"].between(X["since"].min(), X["since"].max()).all()
    assert (made["country"] == "DE").all()
    assert made[["grade", "member", "visits", "since"]].notna().all(axis=None)


@pytest.mark.parametrize("missing", ["keep", "fill"])
def test_missing_cells_are_generated_where_they_are_kept(tiny, missing: str) -> None:
    config = replace(tiny, network="auto", missing=missing)
    made, _ = ConditionalGAN(config=config, random_state=0).fit(*customers()).generate(100, random_state=0)
    assert made[["income", "town"]].isna().any().tolist() == [missing == "keep"] * 2


def test_a_torch_data_set_gives_tensors(digits, tiny) -> None:
    X, y = torch.from_numpy(digits[0])[:, None], torch.from_numpy(digits[1])
    made, labels = ConditionalGAN(config=tiny, random_state=0).fit(TensorDataset(X, y)).generate({4: 2})
    assert made.dtype == torch.uint8
    assert made.shape == (2, 1, 8, 8)
    assert labels.tolist() == [4, 4]


def test_one_class_has_its_own_generator(gan) -> None:
    assert repr(gan["7"]) == repr(gan[7]) == repr(gan["seven"]) == "ClassGenerator(7)"
    assert gan["7"].name == "seven"
    own = gan["seven"].generate(6, random_state=3)
    np.testing.assert_array_equal(own, gan.generate({7: 6}, random_state=3)[0])


def test_an_unknown_class_is_a_key_error_with_the_nearest_one(gan) -> None:
    with pytest.raises(KeyError, match=r"no class 'sevn'.*Did you mean 'seven'\?"):
        gan["sevn"]
    with pytest.raises(KeyError, match="no class 9; the classes are 1, 4, 7"):
        gan.generate({9: 3})


@pytest.mark.parametrize("counts", [-1, 2.5, {7: -1}, {7: "3"}, {7: True}, {7: 2, "seven": 2}])
def test_wrong_counts_are_refused(gan, counts: object) -> None:
    with pytest.raises(ConfigError, match="counts"):
        gan.generate(counts)


def test_a_seed_repeats_a_draw_and_no_seed_never_does(gan) -> None:
    seeded = [gan.generate({1: 4}, random_state=8)[0] for _ in range(2)]
    free = [gan.generate({1: 4})[0] for _ in range(2)]
    np.testing.assert_array_equal(*seeded)
    assert not np.array_equal(*free)


def test_a_class_is_drawn_independently_of_the_others(gan) -> None:
    alone = gan.generate({4: 5}, random_state=1)[0]
    among = gan.generate({7: 300, 4: 5, 1: 2}, random_state=1)[0]
    np.testing.assert_array_equal(among[300:305], alone)


def test_samples_differ_from_each_other(gan) -> None:
    assert len(np.unique(gan["4"].generate(50), axis=0)) > 40


def test_the_same_seed_trains_the_same_generator(gan, digits, tiny) -> None:
    again = ConditionalGAN(config=tiny, random_state=0).fit(*digits)
    other = ConditionalGAN(config=tiny, random_state=1).fit(*digits)
    np.testing.assert_array_equal(again.generate(9, random_state=0)[0], gan.generate(9, random_state=0)[0])
    assert not np.array_equal(other.generate(9, random_state=0)[0], gan.generate(9, random_state=0)[0])


@pytest.mark.parametrize("carry", ["save and load", "pickle"])
def test_a_generator_that_travelled_draws_the_same(digits, tiny, tmp_path: Path, carry: str) -> None:
    gan = ConditionalGAN(config=tiny, random_state=0).fit(digits[0], np.array(list("abc"))[digits[1] // 3])
    if carry == "pickle":
        other = pickle.loads(pickle.dumps(gan))
    else:
        gan.save(tmp_path / "gan")
        other = load(tmp_path / "gan")
        assert [f.name for f in (tmp_path / "gan").iterdir()] == ["generator.safetensors"]
    assert other.history_ == gan.history_
    for _ in range(2):
        (X, y), (X_other, y_other) = gan.generate(5), other.generate(5)
        np.testing.assert_array_equal(X, X_other)
        assert y.tolist() == y_other.tolist()
        assert y.dtype == y_other.dtype


def test_a_folder_that_is_not_empty_is_left_as_it_is(gan, digits, tiny, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="nothing was written"):
        gan.save(tmp_path)
    with pytest.raises(OutputExistsError, match="resume=True"):
        ConditionalGAN(config=tiny).fit(*digits, out=tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "data", "error"),
    [
        ({"loss": "hing"}, None, ConfigError),
        ({"network": "resnt"}, None, ConfigError),
        ({"diffaugment": ("colour",)}, None, ConfigError),
        ({"regularizers": ("r3",)}, None, ConfigError),
        ({"mutations": ("maximax",)}, None, ConfigError),
        ({"conditioning": "project"}, None, ConfigError),
        ({"precision": "float8"}, None, ConfigError),
        ({"loss": 3}, None, ConfigError),
        ({"conditioning": 3}, None, ConfigError),
        ({"regularizers": (3,)}, None, ConfigError),
        ({"loss": "wasserstein", "ada_target": 0.6}, None, ConfigError),
        ({"loss": "relativistic", "ada_target": 0.6}, None, ConfigError),
        ({}, (np.full((6, 8, 8), np.nan), [0, 1] * 3), DataError),
        ({}, (np.zeros((6, 8, 8)), None), DataError),
        ({}, (np.zeros((6, 8, 8)), [0] * 6), DataError),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(digits, tiny, tmp_path: Path, changes, data, error) -> None:
    with pytest.raises(error):
        ConditionalGAN(config=replace(tiny, **changes)).fit(*(data or digits), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_device_leaves_no_folder(digits, tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="device must be 'auto' or one that torch can use here; got 'gpu'"):
        ConditionalGAN(config=tiny, device="gpu").fit(*digits, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_holds_losses_pictures_and_the_generator(digits, tiny, tmp_path: Path) -> None:
    logged = []
    gan = ConditionalGAN(config=tiny, random_state=0).fit(*digits, out=tmp_path / "run", on_log=logged.append)
    assert set(contents(tmp_path / "run")) == {
        "checkpoints/000000000.safetensors",
        "checkpoints/000000032.safetensors",
        "checkpoints/000000064.safetensors",
        "curves.png",
        "generator.safetensors",
        "history.jsonl",
        "samples/000000032.png",
        "samples/000000064.png",
    }
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == gan.history_ == logged
    assert [line["images_seen"] for line in logged] == [32, 64]
    opened = load(tmp_path / "run")
    np.testing.assert_array_equal(opened.generate(3)[0], gan.generate(3)[0])


class Explodes(Hinge):
    """Hinge until a number of steps have passed, then not a number."""

    def __init__(self) -> None:
        self.n_calls = 0

    def generator(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
        self.n_calls += 1
        return -fake_logits * (float("nan") if self.n_calls > 25 else 1)


def test_a_run_that_diverges_keeps_its_last_sound_generator(digits, tiny, tmp_path: Path) -> None:
    config = replace(tiny, loss=Explodes(), train_images=2000, log_every_images=400)
    gan = ConditionalGAN(config=config, random_state=0)
    with pytest.raises(TrainingDivergedError, match=r"given up after 3 steps back.*Lower lr_G") as told:
        gan.fit(*digits, out=tmp_path)
    assert told.value.images_kept == 400
    sound = ConditionalGAN(config=replace(tiny, train_images=400, log_every_images=400), random_state=0)
    X = sound.fit(*digits).generate(5)[0]
    np.testing.assert_array_equal(gan.generate(5)[0], X)
    np.testing.assert_array_equal(load(tmp_path).generate(5)[0], X)


def test_each_step_is_announced(digits, tiny) -> None:
    seen: list[int] = []
    ConditionalGAN(config=tiny, random_state=0).fit(*digits, on_step=seen.append)
    assert seen == [16, 32, 48, 64]


@pytest.mark.parametrize(
    "conditioning", [Auxiliary(weight=0.3), Transitional(start=10, end=20), Noisy(sigma=0.5), "concat"]
)
def test_a_way_to_condition_travels_with_its_numbers(digits, tiny, tmp_path: Path, conditioning) -> None:
    gan = ConditionalGAN(config=replace(tiny, conditioning=conditioning), random_state=0).fit(*digits)
    gan.save(tmp_path / "gan")
    np.testing.assert_array_equal(load(tmp_path / "gan").generate(5)[0], gan.generate(5)[0])


class Bent:
    """A conditioning of the caller's own."""

    def embedding(self, n_classes: int, dim: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Embedding(n_classes, dim), torch.nn.Tanh())

    def head(self, n_features: int, n_classes: int) -> torch.nn.Module:
        return ProjectionHead(n_features, n_classes)


@dataclass(frozen=True)
class Tuned(Bent):
    strength: float = 0.5


class Namesakes:
    """Own ways to condition, named like those of the package."""

    class Projection(Bent):
        """A plain one."""

    @dataclass(frozen=True, kw_only=True)
    class Noisy(Bent):
        """One with a number."""

        sigma: float = 0.25


@pytest.mark.parametrize("kind", [Bent, Tuned, Namesakes.Projection, Namesakes.Noisy])
def test_an_own_way_to_condition_is_asked_for_by_name_and_draws_the_same(
    digits, tiny, tmp_path, kind
) -> None:
    gan = ConditionalGAN(config=replace(tiny, conditioning=kind()), random_state=0).fit(*digits)
    gan.save(tmp_path / "gan")
    asked = rf"own conditioning, .*:{kind.__qualname__}\. Pass it: ganaug\.load\(path, conditioning=\.\.\.\)"
    with pytest.raises(CheckpointError, match=asked):
        load(tmp_path / "gan")
    opened = load(tmp_path / "gan", conditioning=kind())
    np.testing.assert_array_equal(opened.generate(5)[0], gan.generate(5)[0])


def test_a_network_of_the_package_given_as_a_function_can_be_opened(digits, tiny, tmp_path: Path) -> None:
    gan = ConditionalGAN(config=replace(tiny, network=mlp), random_state=0).fit(*digits)
    gan.save(tmp_path / "gan")
    np.testing.assert_array_equal(load(tmp_path / "gan", network=mlp).generate(5)[0], gan.generate(5)[0])
    with pytest.raises(CheckpointError, match=r"network=\.\.\."):
        load(tmp_path / "gan")


def test_a_stream_tells_of_a_wrong_class_before_it_is_read(gan) -> None:
    with pytest.raises(KeyError, match="no class 9"):
        gan.stream({9: 3})


def test_a_stream_without_a_seed_goes_on_where_the_last_call_ended(digits, tiny) -> None:
    one, two = (ConditionalGAN(config=tiny, random_state=0).fit(*digits) for _ in range(2))
    for _ in range(2):
        streamed = np.concatenate([X for X, _ in one.stream({1: 3})])
        np.testing.assert_array_equal(streamed, two.generate({1: 3})[0])


def test_a_time_budget_leaves_a_generator(digits, tiny, tmp_path: Path) -> None:
    config = replace(tiny, train_images=10_000_000, max_minutes=1e-9)
    gan = ConditionalGAN(config=config, random_state=0).fit(*digits, out=tmp_path / "run")
    assert gan.history_[-1]["images_seen"] == 16
    np.testing.assert_array_equal(load(tmp_path / "run").generate(2)[0], gan.generate(2)[0])


def test_the_picture_has_a_row_per_class_and_repeats(gan) -> None:
    picture = gan.sample_grid(columns=5)
    assert picture.size == (5 * 10 + 2, 3 * 10 + 2)
    assert picture.tobytes() == gan.sample_grid(columns=5).tobytes()


def own_pair(*, shape, n_classes, z_dim, width):
    return mlp(shape=shape, n_classes=n_classes, z_dim=z_dim, width=6)


def test_an_own_loss_and_an_own_network_are_used_and_saved_by_name(table, tiny, tmp_path: Path) -> None:
    calls = []

    class Own(Hinge):
        def generator(self, real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
            calls.append(len(fake_logits))
            return super().generator(real_logits, fake_logits)

    gan = ConditionalGAN(config=replace(tiny, loss=Own(), network=own_pair), random_state=0).fit(*table)
    assert calls == [16] * 4
    assert gan.G_.hidden[0][0].out_features == 6
    gan.save(tmp_path / "gan")
    with pytest.raises(CheckpointError, match=r"own network, .*own_pair.*network=\.\.\."):
        load(tmp_path / "gan")
    np.testing.assert_array_equal(load(tmp_path / "gan", network=own_pair).generate(3)[0], gan.generate(3)[0])
    with pytest.raises(CheckpointError, match=r"generator\.safetensors: \d+ weights do not fit"):
        load(tmp_path / "gan", network=lambda **sizes: mlp(**{**sizes, "width": 8}))


def test_opening_what_is_no_run_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"generator\.safetensors must be a file"):
        load(tmp_path)
    (tmp_path / "generator.safetensors").write_bytes(b"not one")
    with pytest.raises(CheckpointError, match=r"generator\.safetensors is not a file that ganaug saved"):
        load(tmp_path)


def test_scikit_learn_can_clone_and_set_it(tiny) -> None:
    gan = ConditionalGAN(preset="quick", config=tiny, train_images=7, random_state=3)
    params = clone(gan).get_params(deep=False)
    assert params == {
        "preset": "quick",
        "config": tiny,
        "train_images": 7,
        "device": "auto",
        "random_state": 3,
    }
    assert gan.set_params(train_images=9).train_images == 9


def test_an_unfitted_generator_says_so(tmp_path: Path) -> None:
    for use in (lambda g: g.generate(1), lambda g: g["a"], lambda g: g.save(tmp_path / "x")):
        with pytest.raises(NotFittedError):
            use(ConditionalGAN())
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_of_real_data_finds_the_asked_class_in_the_samples(digits) -> None:
    X, y = digits
    config = GANConfig(
        network="mlp", width=32, train_images=20_000, ema_halflife_images=1000, precision="float32"
    )
    made, asked = ConditionalGAN(config=config, random_state=0).fit(X, y).generate(60)
    real = LogisticRegression(max_iter=1000).fit(X.reshape(len(X), -1) / 16, y)
    assert real.score(made.reshape(len(made), -1) / 16, asked) > 0.8
