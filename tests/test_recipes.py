"""Each recipe runs as a user would run it, and its README shows what it gives."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

RECIPES = Path(__file__).parents[1] / "recipes"
FILES = sorted(p.name for p in RECIPES.iterdir() if p.suffix in (".py", ".sh"))
VERDICT = r"(helps|no evidence of gain|hurts|no difference larger than 0.5 points)"

PRINTED = {
    "01_imbalanced_images.py": r"augmented samples per class: \[80(, 80){9}\]\n"
    r"nothing +balanced .*\noversampling .*\nGAN .*\n(GAN against .* points \[.*\], .*\n){2}$",
    "02_few_labels.py": r"reserve +oracle (.*\n)+"
    rf"Verdict: {VERDICT}: gan \+ classic against .*, 3 paired seeds.*\n"
    r"Whose gain is it\? .+\nIts worth: .+\n$",
    "03_imbalanced_table.py": r"442 rows, 35 of them rapid, \d+ without blood pressure\n(.*\n)+"
    r"logistic, 1 times 3 folds:\n(.*\n)+Verdict: (.*\n)+boosting, .*\n(.*\n){7}"
    rf"Verdict: {VERDICT}: gan against .*, 3 paired seeds\.\n.+",
    "04_own_network_and_loss.py": r"draws the same digits again: True\n(.*\n)+real .* %.*\n(.* %, .*\n){5}$",
    "05_sklearn_search.py": r"387 rows, 30 of them malignant; 12 candidates(.*\n)+chosen: .*\n"
    r"without .* %\nwith .* %\ngain [+-]\d+\.\d+ points \[.*\] on \d outer folds\n$",
    "06_mlflow_comparison.py": rf"Verdict: {VERDICT}: gan against (.*\n)+"
    r"MLflow: verdict '(helps|no evidence|hurts)', 12 child runs\n(  .* from 3 runs\n){4}"
    r"(.*\n)*digits-classifier@in-use, trained with '.*': \d+\.\d+ on 300 new digits\n"
    r"generator: 50 digits, \d+% ",
    "07_command_line.sh": r"run: a generator for 3 classes of 135 samples\.\n(.*\n)+"
    r"synthetic/8 holds 50 images\n(.*\n)+"
    rf"Verdict: {VERDICT}: gan against the best control",
    "08_unlabelled.py": r"3 seeds with 100 labelled .*\n(.*\n)+"
    rf"Verdict: {VERDICT}: classic \+ pseudo-labels \+ complement against .*\nWhose gain is it\? .+\n$",
}


LONG = (
    "02_few_labels.py",
    "03_imbalanced_table.py",
    "06_mlflow_comparison.py",
    "07_command_line.sh",
    "08_unlabelled.py",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in FILES]
)
def test_a_quick_run_prints_its_result_and_draws_it(name, tmp_path):
    command = [sys.executable] if name.endswith(".py") else ["bash"]
    folder = os.path.dirname(sys.executable)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_") or k.endswith("TELEMETRY")},
        "PATH": folder + os.pathsep + os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
    }
    before = set(RECIPES.rglob("*"))
    done = subprocess.run(
        [*command, str(RECIPES / name), "--quick"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(PRINTED[name], done.stdout), done.stdout
    assert set(RECIPES.rglob("*")) == before  # it writes where it is called
    [drawn] = tmp_path.rglob(f"{Path(name).stem}.png")
    with Image.open(drawn) as picture, Image.open(RECIPES / "pictures" / drawn.name) as shown:
        assert picture.size == shown.size  # the README shows what this code draws
        assert len(picture.convert("L").getcolors()) > 20


def test_the_readme_lists_every_recipe_and_shows_its_picture():
    text = (RECIPES / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[[^\]]+\]\(([^)]+)\) \|", text, flags=re.M)
    assert sorted(linked) == FILES
    shown = re.findall(r"^!\[([^\]]+)\]\(pictures/([^)]+)\)", text, flags=re.M)
    assert [Path(name).stem for _, name in shown] == [Path(name).stem for name in FILES]
    assert sorted(name for _, name in shown) == sorted(p.name for p in (RECIPES / "pictures").iterdir())
    assert all(len(words) > 60 for words, _ in shown)  # words that stand for the picture


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_is_short(name):
    assert len((RECIPES / name).read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("path", sorted((RECIPES / "pictures").iterdir()), ids=lambda p: p.name)
def test_a_picture_is_small_and_wide_enough_to_read(path):
    with Image.open(path) as picture:
        assert picture.width >= 700
    assert path.stat().st_size <= 60_000
