"""--config: command line over environment over file over default; broken files are named and run nothing."""

import itertools
import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import typer
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from ganaug import cli
from ganaug.commands.config_file import _dumped, configured, read_yaml, write_config
from ganaug.commands.options import Gan, Json, Quiet, Seed
from ganaug.config import GANConfig
from ganaug.errors import ConfigError, DataError
from ganaug.training.game import resolve_game

RUNNER = CliRunner()


@pytest.fixture
def probe():
    """Return a function that runs a command with options of all kinds, and gives the values it saw."""
    seen = {}
    app = typer.Typer(pretty_exceptions_enable=False)

    def probe(
        ctx: typer.Context,
        data: str,
        count: Annotated[int | None, typer.Option(min=1)] = None,
        share: float = 0.5,
        arms: Annotated[str | None, typer.Option(metavar="NAME,NAME")] = None,
        out: Path | None = None,
        track: bool = True,
        kind: Annotated[str, typer.Option("--format")] = "files",
        seed: Seed = 0,
        gan: Gan = None,
        quiet: Quiet = False,
        as_json: Json = False,
    ) -> None:
        """Probe."""
        seen.update(ctx.params)
        if out is not None:
            write_config(ctx, out)

    app.command()(configured(probe))
    app.command()(lambda: None)

    def run(*args, **environment):
        seen.clear()
        shown = RUNNER.invoke(app, ["probe", *map(str, args)], env=environment, catch_exceptions=False)
        assert shown.exit_code == 0, shown.output
        return dict(seen)

    return run


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


# --- which value wins -----------------------------------------------------------------------------

LAYERS = {
    "file": (lambda folder: ("--config", write(folder / "c.yaml", "count: 2\ndata: d\n")), 2),
    "environment": (lambda folder: {"GANAUG_PROBE_COUNT": "3"}, 3),
    "command line": (lambda folder: ("--count", "4"), 4),
}


@pytest.mark.parametrize(
    "given_layers", [c for n in range(4) for c in itertools.combinations(LAYERS, n)], ids=", ".join
)
def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(
    probe, tmp_path, given_layers
):
    args, environment, expected = ["d"], {}, None
    for layer in given_layers:
        make, expected = LAYERS[layer]
        made = make(tmp_path)
        if isinstance(made, dict):
            environment |= made
        else:
            args += made
    assert probe(*args, **environment)["count"] == expected


def test_every_kind_of_option_can_come_from_a_file(probe, tmp_path):
    file = write(
        tmp_path / "c.yaml",
        "command: probe\ndata: digits\nshare: 1e-3\narms: [nothing, gan + classic]\nout: null\n"
        "track: false\nformat: bank\nquiet: true\ngan:\n  lr_G: 2e-4\n  loss: no\n  betas: [0.0, 0.9]\n",
    )
    seen = probe("--config", file)
    assert seen["data"] == "digits"
    assert (seen["share"], seen["arms"], seen["out"]) == (0.001, "nothing,gan + classic", None)
    assert (seen["track"], seen["kind"], seen["quiet"]) == (False, "bank", True)
    assert seen["gan"] == {"lr_G": 2e-4, "loss": "no", "betas": [0.0, 0.9]}
    assert probe("--config", file, "--track", "other")["track"] is True
    assert probe("--config", file, "other")["data"] == "other"


def test_every_kind_of_option_can_come_from_the_environment(probe, tmp_path):
    seen = probe(
        GANAUG_PROBE_DATA="d",
        GANAUG_PROBE_FORMAT="bank",
        GANAUG_PROBE_TRACK="false",
        GANAUG_PROBE_SHARE="0.25",
        GANAUG_PROBE_ARMS="a,b",
        GANAUG_PROBE_GAN="{z_dim: 3}",
        GANAUG_PROBE_CONFIG=str(write(tmp_path / "c.yaml", "count: 9")),
        GANAUG_PROBE_SEED="",
    )
    assert (seen["data"], seen["kind"], seen["track"], seen["share"]) == ("d", "bank", False, 0.25)
    assert (seen["arms"], seen["gan"], seen["count"], seen["seed"]) == ("a,b", {"z_dim": 3}, 9, 0)


def test_fields_of_the_gan_win_one_by_one(probe, tmp_path):
    file = write(tmp_path / "c.yaml", "data: d\ngan: {z_dim: 1, pack: 1, loss: file}")
    seen = probe("--config", file, "--gan", "{z_dim: 3}", GANAUG_PROBE_GAN="{z_dim: 2, pack: 2}")
    assert seen["gan"] == {"z_dim": 3, "pack": 2, "loss": "file"}


# --- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cuont: 2", "'cuont' is no option of `ganaug probe`.* Did you mean 'count'"),
        ("count: many", "count: .*integer.*got 'many'"),
        ("count: 0", "count: .*greater than or equal to 1; got 0"),
        ("count: 1.5", "count: .*integer.*got 1.5"),
        ("count: true", "count must be a value, not true or false; got True"),
        ("count: [1, 2]", r"count: .*integer.*got \[1, 2\]"),
        ("track: 1", "track must be true or false; got 1"),
        ("track: perhaps", "track: .*boolean.*got 'perhaps'"),
        ("share: {a: 1}", r"share: .*number.*got \{'a': 1\}"),
        ("out: 3", "out: .*path.*got 3"),
        ("gan: 3", "gan: it must be a mapping.*got 3"),
        ("gan: {1: 2}", "gan: it must be a mapping"),
        ("count: 1\ncount: 2", "'count' is given twice"),
        ("count: 1\nCOUNT: 2", "'COUNT' is no option"),
        ("command: fit", "is for `ganaug fit`; got it for `ganaug probe`"),
        ("json: true", "json is for the command line only"),
        ("config: other.yaml", "'config' is no option"),
        ("a: &x [1]\nb: *x", "aliases .* are not taken"),
        ("!!python/object/apply:os.system ['touch owned']", "cannot be read as YAML: could not determine"),
        ("data: !!python/name:os.system", "cannot be read as YAML"),
        ("data: !!timestamp x", "cannot be read as YAML"),
        ("data: !!int ''", "cannot be read as YAML"),
        ("[1, 2]", "must hold a line 'option: value' for each option; got list"),
        ("3", "must hold a line"),
        ("1: 2", "must hold a line"),
        ("", "must hold a line .* got NoneType"),
        ("count: [", "cannot be read as YAML"),
        ("[" * 5000, "cannot be read as YAML"),
        ("a: " + "9" * 9000, "cannot be read as YAML"),
        ("count: 1\n" + "#" * 200_000, "got more than 100,000 bytes"),
    ],
)
def test_a_wrong_file_is_named_with_the_key_and_what_was_expected(probe, tmp_path, monkeypatch, text, told):
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path / "run.yaml", text)
    with pytest.raises(ConfigError, match=rf"(?s)run\.yaml.*{told}") as caught:
        probe("d", "--config", file)
    assert len(str(caught.value)) < 1500
    assert os.listdir(tmp_path) == ["run.yaml"]


def test_a_wrong_variable_is_named(probe):
    with pytest.raises(ConfigError, match=r"GANAUG_PROBE_COUNT: .*integer.*got 'x'"):
        probe("d", GANAUG_PROBE_COUNT="x")


def test_a_file_that_cannot_be_read_is_named(probe, tmp_path):
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(ConfigError, match=rf"{path.name} must be a YAML file .* it cannot be read"):
            probe("d", "--config", path)
    (tmp_path / "latin.yaml").write_bytes(b"data: \xff\xfe")
    with pytest.raises(ConfigError, match=r"latin\.yaml cannot be read as YAML"):
        probe("d", "--config", tmp_path / "latin.yaml")


def test_an_option_that_is_not_given_anywhere_is_still_asked_for(probe, tmp_path):
    shown = RUNNER.invoke(cli.app, ["fit", "--config", str(write(tmp_path / "c.yaml", "data: digits"))])
    assert shown.exit_code == 2
    assert "--out" in shown.output


def test_fuzzed_files_are_errors_that_name_the_file_or_right_values(probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    whole = (
        b"command: probe\ndata: digits\ncount: 3\nshare: 0.25\narms: [a, b]\ntrack: false\nformat: bank\n"
        b"seed: 7\ngan:\n  loss: hinge\n  betas: [0.0, 0.9]\n  z_dim: 32\n"
    )
    special = b"&*!|>%@`{}[]:,?-#'\"\n\t \x00\xff0eE~<"
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 5)):
            damaged[place] = special[rng.integers(len(special))] if rng.random() < 0.7 else rng.integers(256)
        (tmp_path / "run.yaml").write_bytes(damaged)
        told, seen = None, None
        try:
            seen = probe("--config", "run.yaml")
        except ConfigError as error:
            told = str(error)
        if told is not None:
            refused += 1
            assert told.startswith("run.yaml")
        else:
            assert isinstance(seen["count"], int | None)
            assert isinstance(seen["gan"], dict)
    assert refused > 150
    assert os.listdir(tmp_path) == ["run.yaml"]


# --- written back ---------------------------------------------------------------------------------


def test_what_is_written_back_repeats_the_call(probe, tmp_path):
    (tmp_path / "data.npz").touch()
    seen = probe(
        os.path.relpath(tmp_path / "data.npz"), "--count", 3, "--format", "bank", "--out", tmp_path,
        "--no-track", "--quiet", "--gan", "{lr_G: 1e-5, loss: hinge}", "--seed", 5,
    )  # fmt: skip
    again = probe("--config", tmp_path / "run.yaml")
    assert again == {**seen, "data": str(tmp_path / "data.npz"), "quiet": False}
    written = yaml.safe_load((tmp_path / "run.yaml").read_text())
    assert written["command"] == "probe"
    assert not {"quiet", "json", "config", "resume"} & written.keys()


PLAIN = st.one_of(
    st.text(max_size=12),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.sampled_from(
        ["1e3", "no", "yes", "on", "~", "null", "0o7", "1:30", "2020-01-01", "=", "<<", ".5", "010"]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text("abcxyz-_", min_size=1, max_size=8), PLAIN | st.lists(PLAIN, max_size=3)))
def test_values_come_back_from_yaml_as_they_were(values):
    back = read_yaml(_dumped(values))
    assert back == values
    assert [type(v) for v in back.values()] == [type(v) for v in values.values()]


def test_numbers_and_words_are_what_they_look_like():
    text = "{a: 1e-4, b: -2E5, c: .5, d: no, e: 010, f: true, g: 1:30, h: 2020-01-01, i: 7, j: ~}"
    assert read_yaml(text) == {
        "a": 1e-4, "b": -2e5, "c": 0.5, "d": "no", "e": "010", "f": True, "g": "1:30", "h": "2020-01-01",
        "i": 7, "j": None,
    }  # fmt: skip


# --- in the commands ------------------------------------------------------------------------------


def invoke(*args):
    return RUNNER.invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


def test_every_command_takes_a_config_file():
    for command in cli.app.registered_commands:
        assert "config" in command.callback.__annotations__


@pytest.fixture
def data(tmp_path, digits):
    np.savez(tmp_path / "d.npz", x=digits[0], y=digits[1])
    return tmp_path / "d.npz"


def test_fit_keeps_its_settings_and_goes_on_with_them(tmp_path, data):
    run = tmp_path / "run"
    first = invoke("fit", data, "--out", run, "--train-images", 64, "--device", "cpu", "--seed", 3,
                   "--gan", "{loss: non-saturating, width: 4, network: mlp, batch_size: 16}")  # fmt: skip
    assert first.exit_code == 0, first.output
    written = yaml.safe_load((run / "run.yaml").read_text())
    assert (written["seed"], written["out"], written["missing"]) == (3, str(run), "keep")
    assert (written["gan"]["loss"], written["gan"]["width"]) == ("non-saturating", 4)
    assert {"train_images", "missing", "max_minutes", "lr_D"} & written["gan"].keys() == set()
    more = invoke("fit", "--config", run / "run.yaml", "--resume", "--train-images", 96)
    assert more.exit_code == 0, more.output
    assert yaml.safe_load((run / "run.yaml").read_text()) == {**written, "train-images": 96}


def test_a_preset_on_the_command_line_wins_over_a_file_that_was_written_back(tmp_path, data):
    config = write(tmp_path / "c.yaml", f"data: {data}\ndevice: cpu\ngan: {{network: mlp, width: 4}}\n")
    small = ("--gan", "{train_images: 32, batch_size: 16}")
    assert invoke("fit", "--config", config, "--out", tmp_path / "a", *small).exit_code == 0
    config = tmp_path / "a" / "run.yaml"
    config.write_text(config.read_text().replace("  train_images: 32\n", ""))
    plan = invoke("fit", "--config", config, "--preset", "best", "--out", tmp_path / "c", "--dry-run",
                  "--json", "--max-minutes", 0.001)  # fmt: skip
    assert '"train_images": 1000000' in plan.stdout
    assert '"width": 4' in plan.stdout


@pytest.mark.parametrize(
    ("gan", "told"),
    [
        ("{los: hinge}", "no field 'los'.*Did you mean 'loss'"),
        ("{loss: hing}", "Did you mean 'hinge'"),
        ("{z_dim: many}", "z_dim must be an integer"),
        ("{lr_G: fast}", "lr_G must be a number"),
        ("{regularizers: r1}", "regularizers must be a tuple of names"),
        ("{regularizers: [{type: os:system}]}", "type of regularizer"),
    ],
)
def test_a_wrong_field_of_the_gan_is_named_and_nothing_is_written(tmp_path, data, gan, told):
    for command in (("fit", data, "--out", tmp_path / "run"), ("compare", data, "--no-track", "--dry-run")):
        with pytest.raises(ConfigError, match=f"(?s){told}"):
            invoke(*command, "--gan", gan)
    assert list(tmp_path.iterdir()) == [data]


def test_the_gan_of_a_file_may_be_any_nonsense_without_a_crash(tmp_path, data):
    fields = ("network", "conditioning", "loss", "regularizers", "z_dim", "batch_size", "betas", "precision",
              "mutations", "matching", "diffaugment", "snapshot", "ada_target", "width")  # fmt: skip
    for field, value in itertools.product(fields, ("{}", "[[]]", "[1]", "-1", "x", "true", "{type: x}")):
        shown = RUNNER.invoke(
            cli.app,
            ["fit", str(data), "--out", str(tmp_path / "run"), "--device", "cpu", "--dry-run", "--json",
             "--gan", f"{{{field}: {value}, train_images: -1}}"],
        )  # fmt: skip
        assert isinstance(shown.exception, ConfigError), (field, value, shown.exception)


def test_the_file_of_the_readme_is_one_of_fit(tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    file = write(tmp_path / "run.yaml", textwrap.dedent(block))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"there is no 'photos/'"):
        invoke("fit", "--config", file)
    resolve_game(GANConfig.from_dict(read_yaml(file.read_text())["gan"]))


if sys.platform != "win32":

    def test_a_config_may_come_through_a_pipe(probe):
        read, write_end = os.pipe()
        os.write(write_end, b"data: piped")
        os.close(write_end)
        assert probe("--config", f"/dev/fd/{read}")["data"] == "piped"
        os.close(read)
