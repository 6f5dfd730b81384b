import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from ganaug import ConfigError, DataError, SampleBank, __version__, cli
from ganaug.config import PRESETS
from ganaug.data.sources import open_data, open_unlabelled
from ganaug.experiment import paired

pixels, targets = load_digits(return_X_y=True)
IMAGES, DIGITS = pixels[targets < 3].reshape(-1, 8, 8)[:60].astype(np.uint8), targets[targets < 3][:60]
BUDGET = ("--train-images", "64", "--device", "cpu")


def invoke(*args):
    return CliRunner().invoke(cli.app, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture
def command(monkeypatch, capsys):
    """Return a function that runs `main` and gives (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["ganaug", *map(str, args)])
        code = 0
        try:
            cli.main()
        except SystemExit as stopped:
            code = stopped.code or 0
        return code, *capsys.readouterr()

    return run


def write_images(root, images=IMAGES, labels=DIGITS):
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / f"n{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image * 15).save(root / f"n{label}" / f"{i}.png")
    return root


def write_npz(path, x=IMAGES, y=DIGITS):
    np.savez(path, x=x, y=y)
    return path


def write_csv(path, column="kind"):
    frame = pd.DataFrame(IMAGES.reshape(60, -1)[:, 20:26].astype(float), columns=list("abcdef"))
    frame[column] = np.array(["low", "mid", "top"])[DIGITS]
    frame.to_csv(path, index=False)
    return path


def mixed_frame():
    """Return 60 rows of customers: integers, floats, text, booleans, missing cells, an empty column."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 70, 60),
            "income": rng.normal(50, 9, 60).round(2),
            "town": rng.choice(["Ulm", "Bonn", "Kiel"], 60),
            "member": rng.random(60) < 0.4,
            "fax": np.nan,
            "kind": np.where(np.arange(60) % 4 == 0, "yes", "no"),
        }
    )
    frame.loc[::3, "income"] = np.nan
    frame.loc[1::3, "town"] = None
    return frame


def write_mixed(path, **changes):
    mixed_frame().assign(**changes).to_csv(path, index=False)
    return path


def everything_under(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    assert invoke("fit", write_npz(folder / "d.npz"), "--out", folder / "run", *BUDGET).exit_code == 0
    return folder / "run"


# --- the way through ------------------------------------------------------------------------------


def test_fit_generate_and_compare_follow_on_each_other(tmp_path):
    data = write_images(tmp_path / "pets")
    fit = invoke("fit", data, "--out", tmp_path / "run", "--json", *BUDGET)
    assert json.loads(fit.stdout)["classes"] == {"n0": 21, "n1": 19, "n2": 20}
    made = invoke("generate", tmp_path / "run", "--per-class", 12, "--out", tmp_path / "new", "--json")
    assert json.loads(made.stdout)["counts"] == {"n0": 12, "n1": 12, "n2": 12}
    source = open_data(tmp_path / "new")
    assert source.X.shape == (36, 8, 8)
    assert np.unique(source.y, return_counts=True)[1].tolist() == [12, 12, 12]
    compared = invoke("compare", tmp_path / "new", "--no-track", "--json", "--seeds", 3, "--arms",
                      "nothing,gan", "--classifier", "forest", "--jobs", 1, *BUDGET)  # fmt: skip
    record = json.loads(compared.stdout)
    assert record["verdict"] in ("helps", "no evidence", "hurts")
    assert {(c["arm"], c["seed"]) for c in record["cells"]} == {
        (arm, s) for arm in ("nothing", "gan") for s in range(3)
    }


def test_a_table_comes_back_as_a_table(tmp_path):
    data = write_csv(tmp_path / "t.csv")
    assert invoke("fit", data, "--target", "kind", "--out", tmp_path / "run", *BUDGET).exit_code == 0
    assert invoke("generate", tmp_path / "run", "--per-class", 4, "--out", tmp_path / "new").exit_code == 0
    frame = pd.read_csv(tmp_path / "new" / "samples.csv")
    assert list(frame.columns) == [*"abcdef", "kind"]
    assert frame["kind"].tolist() == ["low"] * 4 + ["mid"] * 4 + ["top"] * 4


@pytest.mark.parametrize("missing", ["keep", "fill"])
def test_a_mixed_table_comes_back_with_its_columns_kinds_and_gaps(tmp_path, missing):
    data = write_mixed(tmp_path / "t.csv")
    fit = ("fit", data, "--target", "kind", "--missing", missing, "--out", tmp_path / "run", *BUDGET)
    assert invoke(*fit).exit_code == 0
    assert invoke("generate", tmp_path / "run", "--per-class", 50, "--out", tmp_path / "new").exit_code == 0
    real, made = pd.read_csv(data), pd.read_csv(tmp_path / "new" / "samples.csv")
    assert list(made.columns) == list(real.columns)
    assert made.dtypes.to_dict() == real.dtypes.to_dict()
    assert set(made["town"].dropna()) <= {"Ulm", "Bonn", "Kiel"}
    gaps = made.isna().mean()
    assert gaps["fax"] == 1
    assert gaps[["age", "member", "kind"]].max() == 0
    assert (gaps[["income", "town"]] > 0).all() == (missing == "keep")


def test_codes_beside_numbers_are_written_as_seen_in_a_table(tmp_path):
    codes = np.resize([2**60 + 1, 2**60 + 3], 60)
    frame = pd.DataFrame({"code": codes, "x": np.arange(60) / 4, "target": ["a", "b", "b"] * 20})
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert invoke("fit", tmp_path / "t.csv", "--out", tmp_path / "run", *BUDGET).exit_code == 0
    invoke("generate", tmp_path / "run", "--per-class", 20, "--out", tmp_path / "new")
    assert set(pd.read_csv(tmp_path / "new" / "samples.csv")["code"]) <= set(codes.tolist())


def test_a_table_whose_rows_have_an_index_without_a_name_exits_with_3(command, tmp_path):
    (tmp_path / "t.csv").write_text("x,target\n" + "r,1,a\ns,2,b\n" * 9)
    code, out, shown = command("fit", tmp_path / "t.csv", "--out", tmp_path / "run", *BUDGET)
    assert (code, out) == (3, "")
    assert one_line_that_names(shown, "rows that have more cells than the header")


def test_a_mixed_table_becomes_a_bank(tmp_path):
    data = write_mixed(tmp_path / "t.csv")
    invoke("fit", data, "--target", "kind", "--out", tmp_path / "run", *BUDGET)
    made = invoke("generate", tmp_path / "run", "--per-class", 5, "--format", "bank", "--out",
                  tmp_path / "bank")  # fmt: skip
    assert made.exit_code == 0
    bank = SampleBank.open(tmp_path / "bank")
    assert bank.counts == {"no": 5, "yes": 5}
    assert bank.schema.codec.columns == ("age", "income", "town", "member", "fax")


def test_progress_counts_rows_of_a_table_and_images_of_images(tmp_path, monkeypatch):
    units = []

    @contextmanager
    def seen(what, total, unit, *, quiet):
        units.append((what, total, unit))
        yield lambda *_: None

    monkeypatch.setattr(sys.modules["ganaug.commands.fit"], "progress", seen)
    invoke("fit", write_mixed(tmp_path / "t.csv"), "--target", "kind", "--out", tmp_path / "a", *BUDGET)
    invoke("fit", write_npz(tmp_path / "d.npz"), "--out", tmp_path / "b", *BUDGET)
    assert [u for u in units if u[0] == "training"] == [("training", 64, "rows"), ("training", 64, "images")]


def test_digits_need_no_file(tmp_path):
    fit = invoke("fit", "digits", "--out", tmp_path / "run", "--json", *BUDGET)
    assert sum(json.loads(fit.stdout)["classes"].values()) == 1797


def test_the_same_seed_generates_the_same_files(fitted, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        invoke("generate", fitted, "--per-class", 3, "--out", tmp_path / name, "--seed", seed)
    first, again, other = (everything_under(tmp_path / name) for name in "abc")
    assert first == again
    assert first != other
    assert len([name for name in first if name.suffix == ".png"]) == 9


def test_a_comparison_is_printed_with_its_verdict(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    shown = invoke("compare", data, "--no-track", "--seeds", 3, "--labelled", 5, "--steps", 3,
                   "--arms", "nothing, gan", "--jobs", 1, *BUDGET)  # fmt: skip
    assert shown.exit_code == 0
    assert "Verdict: " in shown.stdout
    assert "over best control" in shown.stdout
    assert "3 paired seeds" in shown.stdout
    assert list(tmp_path.iterdir()) == [data]


def test_a_dry_run_prints_plan_cost_and_power_and_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_npz(tmp_path / "d.npz")
    shown = invoke("compare", data, "--dry-run", "--seeds", 3, "--labelled", 5, "--steps", 3, *BUDGET,
                   "--out", "kept")  # fmt: skip
    assert shown.exit_code == 0
    assert shown.stdout.startswith("21 cells: 7 arms in 3 paired seeds; ")
    assert "gan + classic  treatment, 1 classifier a seed, twin: classic, the verdict is" in shown.stdout
    assert "Cost: about " in shown.stdout
    assert "Power, if the gain varies no more than classic less nothing: " in shown.stdout
    assert list(tmp_path.iterdir()) == [data]


@pytest.mark.filterwarnings("ignore:unlabelled samples are used by controls")
def test_unlabelled_samples_are_the_rest_or_a_file_with_or_without_labels(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    frame = pd.DataFrame({"a": rng.normal(size=80) + 2 * y, "b": rng.normal(size=80)})
    frame.assign(target=y).to_csv(tmp_path / "t.csv", index=False)
    more = frame + 0.01
    more.to_csv(tmp_path / "more.csv", index=False)
    more.assign(target=y).to_csv(tmp_path / "labelled.csv", index=False)
    np.savez(tmp_path / "more.npz", x=frame.to_numpy())
    arms = "nothing,oversampling,pseudo-labels,gan"
    args = ["compare", str(tmp_path / "t.csv"), "--classifier", "logistic", "--arms", arms, "--seeds", "3"]
    args += ["--train-images", "64", "--no-track", "--json"]
    for name in ("more.csv", "labelled.csv"):
        record = json.loads(invoke(*args, "--unlabelled", str(tmp_path / name)).stdout)
        assert record["settings"]["unlabelled"] == 80
    record = json.loads(invoke(*args, "--train-size", "20", "--unlabelled", "rest").stdout)
    assert record["settings"]["unlabelled"] == 40
    assert open_unlabelled(tmp_path / "more.npz").shape == (80, 2)
    with pytest.raises(DataError, match="there is no"):
        invoke(*args, "--unlabelled", str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"a file or a folder; there is no 'reset'\. Did you mean 'rest'"):
        invoke(*args, "--unlabelled", "reset")
    with pytest.raises(ConfigError, match="all 80 are equal to samples of X"):
        invoke(*args, "--unlabelled", str(tmp_path / "t.csv"))
    np.savez(tmp_path / "odd.npz", images=frame.to_numpy())
    with pytest.raises(DataError, match="must hold samples as an array x; it has 'images'"):
        open_unlabelled(tmp_path / "odd.npz")


def test_groups_stay_together_and_are_no_feature(tmp_path):
    frame = pd.read_csv(write_csv(tmp_path / "t.csv"))
    frame["patient"] = np.arange(60) // 2
    frame.to_csv(tmp_path / "t.csv", index=False)
    args = ("compare", tmp_path / "t.csv", "--target", "kind", "--no-track", "--seeds", 3, "--arms",
            "nothing,gan", "--classifier", "logistic", "--json", "--jobs", 1, *BUDGET)  # fmt: skip
    record = json.loads(invoke(*args, "--groups", "patient").stdout)
    assert record["settings"]["groups"] == 30
    assert "30 groups kept together" in record["settings"]["splits"]
    assert open_data(tmp_path / "t.csv", target="kind", groups="patient").X.columns.tolist() == [*"abcdef"]
    with pytest.raises(DataError, match=r"no column 'doctor'.*--groups"):
        invoke(*args, "--groups", "doctor")
    with pytest.raises(DataError, match="must not be that of labels"):
        invoke(*args, "--groups", "kind")
    np.savez(tmp_path / "d.npz", x=IMAGES, y=DIGITS, site=np.arange(60) // 3)
    assert open_data(tmp_path / "d.npz", groups="site").groups.max() == 19
    with pytest.raises(DataError, match="no array 'day'"):
        open_data(tmp_path / "d.npz", groups="day")
    with pytest.raises(DataError, match="digits has neither"):
        open_data("digits", groups="day")


def test_a_verdict_that_is_worse_than_asked_for_exits_with_5(tmp_path, command):
    data = write_npz(tmp_path / "d.npz")
    args = ("compare", data, "--no-track", "--seeds", 3, "--labelled", 5, "--arms", "nothing, gan",
            "--classifier", "forest", "--jobs", 1, *BUDGET)  # fmt: skip
    code, out, err = command(*args, "--fail-unless", "helps")
    assert (code, "Verdict: no " in out) == (5, True)
    assert err == "the verdict is worse than 'helps': no evidence\n"
    assert command(*args, "--fail-unless", "no evidence")[0] == 0
    assert command(*args, "--fail-unless", "hurts")[0] == 2


def test_folds_a_training_size_and_a_metric_reach_the_comparison(tmp_path):
    data = write_mixed(tmp_path / "t.csv")
    shown = invoke("compare", data, "--target", "kind", "--no-track", "--folds", 4, "--train-size", 30,
                   "--metric", "average_precision", "--classifier", "logistic", "--arms", "nothing,gan",
                   "--json", "--jobs", 1, *BUDGET)  # fmt: skip
    assert shown.exit_code == 0, shown.output
    record = json.loads(shown.stdout)
    assert record["metric"] == "average_precision"
    assert {(c["seed"], c["n_train"], c["n_test"]) for c in record["cells"]} == {
        (s, 30, 15) for s in range(8)
    }


def test_folds_of_digits_leave_the_few_labels_aside(tmp_path, monkeypatch):
    asked = {}

    def stop(*_, **settings):
        asked.update(settings)
        raise DataError("enough")

    monkeypatch.setattr(paired, "compare", stop)
    for args, few in ((("--folds", 3), None), (("--train-size", 200), None), ((), 10)):
        with pytest.raises(DataError, match="enough"):
            invoke("compare", "digits", "--no-track", *args)
        assert asked["labelled_per_class"] == few
        assert asked["seeds"] == 6


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    invoke("fit", data, "--out", tmp_path / "whole", "--train-images", 256, "--device", "cpu")
    invoke("fit", data, "--out", tmp_path / "parts", "--train-images", 128, "--device", "cpu")
    resumed = invoke("fit", data, "--out", tmp_path / "parts", "--resume", "--train-images", 256,
                     "--device", "cpu")  # fmt: skip
    assert resumed.exit_code == 0
    assert same_weights(tmp_path / "whole", tmp_path / "parts")


def same_weights(one, two):
    first, second = (load_file(folder / "generator.safetensors") for folder in (one, two))
    return first.keys() == second.keys() and all(
        first[k].numpy().tobytes() == second[k].numpy().tobytes() for k in first
    )


PATCHED = """
import os, signal, sys
import ganaug.training.loop as loop
from ganaug.adversarial.losses import LOSSES, Hinge
from ganaug.cli import main

original, calls, what = loop.update_ema, 0, sys.argv.pop(1)

def signalled(*args):
    global calls
    calls += 1
    if calls == 3:
        for name in what.split("+"):
            os.kill(os.getpid(), getattr(signal, name))
    return original(*args)

class Broken(Hinge):
    def generator(self, real_logits, fake_logits):
        return fake_logits * float("nan")

if what == "NAN":
    LOSSES["hinge"] = Broken()
else:
    loop.update_ema = signalled
main()
"""


def patched(what, *args):
    """Run the command in a process of its own, with signals at its third step or a loss that is NaN."""
    command = [sys.executable, "-c", PATCHED, what, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_a_run_stopped_by_a_signal_exits_with_75_and_its_own_words_finish_it(tmp_path, name):
    data, batch_size = write_csv(tmp_path / "t.csv"), PRESETS["quick"]["table"].batch_size
    budget = ("--train-images", 8 * batch_size)
    args = ("fit", data, "--target", "kind", "--preset", "quick", "--seed", 3, *budget)
    stopped = patched(name, *args, "--out", tmp_path / "parts")
    assert stopped.returncode == 75
    assert stopped.stdout == ""
    (line,) = stopped.stderr.splitlines()
    assert line.startswith(f"{name} after {3 * batch_size} images")
    assert line.endswith("Run the same command again with --resume.")
    assert not (tmp_path / "parts" / "generator.safetensors").exists()
    resumed = invoke(*args, "--out", tmp_path / "parts", "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert invoke(*args, "--out", tmp_path / "whole").exit_code == 0
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    histories = [
        [json.loads(line) for line in (tmp_path / run / "history.jsonl").read_text().splitlines()]
        for run in ("whole", "parts")
    ]
    assert histories[0] == histories[1]


@pytest.mark.slow
def test_a_comparison_stopped_by_a_signal_exits_with_75_and_says_how_to_go_on(tmp_path):
    data, out = write_npz(tmp_path / "d.npz"), tmp_path / "kept"
    args = ("compare", data, "--no-track", "--seeds", 3, "--labelled", 5, "--arms", "nothing,gan",
            "--jobs", 1, "--steps", 50, "--out", out, *BUDGET)  # fmt: skip
    command = [sys.executable, "-m", "ganaug", *map(str, args)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not list(out.glob("cells/*.safetensors")) and process.poll() is None:
            time.sleep(0.02)
        process.terminate()
        shown, told = process.communicate(timeout=60)
    assert (process.returncode, shown) == (75, ""), told
    assert told == "stopped. Run the same command again with --resume.\n"
    assert invoke(*args, "--resume").exit_code == 0


@pytest.mark.slow
def test_a_second_signal_ends_at_once(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    args = ("fit", data, "--out", tmp_path / "run", *BUDGET)
    stopped = patched("SIGINT+SIGINT", *args, "--train-images", 6400)
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert [f.name for f in (tmp_path / "run" / "checkpoints").iterdir()] == ["000000000.safetensors"]
    assert invoke(*args, "--resume").exit_code == 0


def test_a_training_that_diverges_exits_with_4_and_one_line(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    stopped = patched(
        "NAN", "fit", data, "--out", tmp_path / "run", "--train-images", 6400, "--device", "cpu"
    )
    assert stopped.returncode == 4, stopped.stderr
    assert one_line_that_names(stopped.stderr, "training diverged by 1280 images")
    assert not (tmp_path / "run" / "generator.safetensors").exists()


def test_a_time_budget_ends_a_fit_with_a_generator(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    done = invoke("fit", data, "--out", tmp_path / "run", "--train-images", 10**7, "--max-minutes", 1e-6,
                  "--device", "cpu", "--json")  # fmt: skip
    assert done.exit_code == 0
    assert json.loads(done.stdout)["images_seen"] == 64
    assert invoke("generate", tmp_path / "run", "--per-class", 2, "--out", tmp_path / "new").exit_code == 0


@pytest.mark.slow
def test_a_damaged_checkpoint_is_one_line_of_warning(tmp_path):
    data = write_npz(tmp_path / "d.npz")
    args = ("fit", data, "--out", tmp_path / "run", "--device", "cpu", "--train-images")
    assert invoke(*args, 64).exit_code == 0
    newest = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    newest.write_bytes(newest.read_bytes()[:-9])
    shown = subprocess.run([sys.executable, "-m", "ganaug", *map(str, args), "128", "--resume"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    (line,) = shown.stderr.splitlines()
    assert line.startswith("warning: ")
    assert newest.name in line
    assert "Going back to the one before" in line


# --- help and usage -------------------------------------------------------------------------------


def test_version():
    shown = invoke("--version")
    assert (shown.exit_code, shown.stdout) == (0, f"ganaug {__version__}\n")


def test_help_loads_no_heavy_library():
    program = (
        "import sys; sys.argv = ['ganaug', '--help']\n"
        "from ganaug.cli import main\n"
        "try: main()\n"
        "except SystemExit as stopped: assert not stopped.code\n"
        "heavy = {'torch', 'sklearn', 'mlflow', 'pandas', 'albumentations', 'torchvision'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    ).stdout
    assert shown.rstrip().endswith("loaded: []")
    for name in ("fit", "generate", "compare", "Exit codes"):
        assert name in shown


@pytest.mark.parametrize(
    "args",
    [
        ("fitt", "digits"),
        ("fit", "digits"),
        ("fit", "digits", "--out", "x", "--bogus"),
        ("generate", "x", "--per-class", "0", "--out", "y"),
        ("compare", "digits", "--seeds", "2"),
        ("compare", "digits", "--labelled", "0"),
        ("compare", "digits", "--folds", "1"),
        ("compare", "digits", "--train-size", "0"),
    ],
)
def test_wrong_usage_exits_with_2(command, tmp_path, monkeypatch, args):
    monkeypatch.chdir(tmp_path)
    code, out, shown = command(*args)
    assert code == 2
    assert out == ""
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


# --- bad input ------------------------------------------------------------------------------------


def empty_folder(root):
    (root / "data").mkdir()
    return root / "data"


def unreadable_image(root):
    folder = write_images(root / "data")
    (folder / "n1" / "torn.png").write_bytes(b"not a picture")
    return folder


def mixed_sizes(root):
    folder = write_images(root / "data")
    Image.fromarray(np.zeros((9, 8), np.uint8)).save(folder / "n2" / "tall.png")
    return folder


def not_a_number(root):
    x = IMAGES.astype(float)
    x[3, 2, 1] = np.nan
    return write_npz(root / "d.npz", x=x)


BAD = {
    "no such data": (lambda root: root / "nowhere", "nowhere"),
    "empty folder": (empty_folder, "one folder per class"),
    "unreadable image": (unreadable_image, "torn.png"),
    "mixed sizes": (mixed_sizes, "tall.png is 8 x 9"),
    "missing target": (lambda root: write_csv(root / "t.csv", "targets"), "Did you mean 'targets'"),
    "one class": (lambda root: write_npz(root / "d.npz", y=DIGITS * 0), "at least two classes"),
    "one sample": (lambda root: write_npz(root / "d.npz", y=np.r_[9, DIGITS[1:]]), "9 has 1"),
    "not a number": (not_a_number, "first at index (3, 2, 1)"),
    "fewer labels": (lambda root: write_npz(root / "d.npz", y=DIGITS[1:]), "each of the 60 samples"),
}


def one_line_that_names(shown, what):
    return shown.startswith("error: ") and what in shown and len(shown.splitlines()) == 1


@pytest.mark.parametrize("case", BAD)
def test_bad_data_exits_with_3_and_leaves_nothing_behind(command, tmp_path, case):
    make, named = BAD[case]
    data = make(tmp_path)
    before = everything_under(tmp_path)
    code, out, shown = command("fit", data, "--out", tmp_path / "run", *BUDGET)
    assert (code, out) == (3, "")
    assert one_line_that_names(shown, named)
    code, out, shown = command("compare", data, "--no-track", *BUDGET)
    assert (code, out) == (3, "")
    assert one_line_that_names(shown, named)
    assert everything_under(tmp_path) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "target", "named"),
    [
        ({}, "kinds", "it has 'age', 'income', 'town', 'member', 'fax', 'kind'"),
        ({}, "kinds", "Did you mean 'kind'?"),
        ({"kind": ["maybe", *mixed_frame()["kind"][1:]]}, "kind", "'maybe' has 1"),
        ({"kind": [None, *mixed_frame()["kind"][1:]]}, "kind", "1 labels are missing"),
        ({"age": [np.inf, *range(59)]}, "kind", "column 'age' must be finite; got 1 infinite"),
        (dict.fromkeys(mixed_frame().columns[:-1], 3), "kind", "X must have a column that varies"),
    ],
)
def test_a_bad_table_exits_with_3_and_says_what_is_wrong(command, tmp_path, changes, target, named):
    data = write_mixed(tmp_path / "t.csv", **changes)
    for args in (("fit", data, "--out", tmp_path / "run"), ("compare", data, "--no-track")):
        code, out, shown = command(*args, "--target", target, *BUDGET)
        assert (code, out) == (3, "")
        assert one_line_that_names(shown, named)
    assert list(tmp_path.iterdir()) == [data]


def test_a_column_of_numbers_and_words_is_text(tmp_path):
    data = write_mixed(tmp_path / "t.csv", age=["unknown", *range(59)])
    assert invoke("fit", data, "--target", "kind", "--out", tmp_path / "run", *BUDGET).exit_code == 0
    invoke("generate", tmp_path / "run", "--per-class", 5, "--out", tmp_path / "new")
    made = pd.read_csv(tmp_path / "new" / "samples.csv", dtype=str)
    assert set(made["age"]) <= {"unknown", *map(str, range(59))}


def test_an_unknown_treatment_of_missing_cells_is_answered_with_the_nearest(command, tmp_path):
    code, _, shown = command("fit", "digits", "--out", tmp_path / "run", "--missing", "fil")
    assert code == 1
    assert one_line_that_names(shown, "Did you mean 'fill'")


def test_an_unknown_preset_is_answered_with_the_nearest(command, tmp_path):
    code, _, shown = command("fit", "digits", "--out", tmp_path / "run", "--preset", "quik")
    assert code == 1
    assert one_line_that_names(shown, "Did you mean 'quick'")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_empty_is_left_as_it_is(command, fitted, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").write_text("mine")
    for args in (("fit", "digits", *BUDGET), ("generate", fitted, "--per-class", 2)):
        code, out, shown = command(*args, "--out", tmp_path / "kept")
        assert (code, out) == (1, "")
        assert one_line_that_names(shown, "kept must be an empty or new folder")
        assert everything_under(tmp_path) == {(tmp_path / "kept/mine.txt").relative_to(tmp_path): b"mine"}


def test_a_run_without_generator_is_named(command, tmp_path):
    code, out, shown = command("generate", tmp_path, "--per-class", 2, "--out", tmp_path / "new")
    assert (code, out) == (1, "")
    assert one_line_that_names(shown, "generator.safetensors must be a file that ganaug saved")
    assert list(tmp_path.iterdir()) == []


def test_resume_without_a_checkpoint_is_refused(command, tmp_path):
    code, _, shown = command("fit", "digits", "--out", tmp_path / "run", "--resume", *BUDGET)
    assert code == 1
    assert one_line_that_names(shown, "run must be the folder of a run; there is no checkpoint in it")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("damage", "named"), [("format", "has format 99"), ("bytes", "is damaged")])
def test_a_generator_of_another_version_is_refused(command, fitted, tmp_path, damage, named):
    file = tmp_path / "run" / "generator.safetensors"
    file.parent.mkdir()
    if damage == "format":
        with safe_open(fitted / file.name, framework="pt") as saved:
            about = {**json.loads(saved.metadata()["ganaug"]), "format": 99}
        save_file(load_file(fitted / file.name), file, metadata={"ganaug": json.dumps(about)})
    else:
        file.write_bytes((fitted / file.name).read_bytes()[:500])
    code, out, shown = command("generate", file.parent, "--per-class", 2, "--out", tmp_path / "new")
    assert (code, out) == (1, "")
    assert one_line_that_names(shown, named)
    assert not (tmp_path / "new").exists()
