"""Each recipe runs as a user would run it, and its README lists it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[1] / "recipes"
FILES = sorted(p.name for p in RECIPES.iterdir() if p.suffix in (".py", ".sh"))

PRINTED = {
    "01_torch_dataset.py": r"augmented samples per class: \[60(, 60){9}\]\n"
    r"(.*\n)+  with synthetic samples +\d+\.\d % \([+-]\d+\.\d points\)",
    "02_sklearn_pipelines.py": r"387 rows, 30 of them malignant(.*\n)+"
    r"GANOverSampler +\d+\.\d +\d+\.\d\nSyntheticSwap +\d+\.\d +\d+\.\d\nAugmentedClassifier .* \d+\.\d\n",
    "03_command_line.sh": r"run: a generator for 3 classes of 135 samples\.\n(.*\n)+"
    r"synthetic/8 holds 50 images\n(.*\n)+"
    r"Verdict: (helps|no evidence of gain|hurts): gan against the best control",
    "04_compare_and_mlflow.py": r"Verdict: (helps|no evidence of gain|hurts): gan against (.*\n)+"
    r"MLflow: verdict '(helps|no evidence|hurts)', 12 child runs\n(  .* from 3 runs\n){4}",
    "05_choose_the_game.py": r"game .*\n(.+ 640 .* %\n){6}real samples .* %\n",
    "06_imbalanced_table.py": r"442 rows, 35 of them rapid, \d+ without blood pressure\n(.*\n)+"
    r"logistic, 1 times 5 folds:\n(.*\n)+Verdict: (.*\n)+boosting, .*\n(.*\n){7}"
    r"Verdict: (helps|no evidence of gain|hurts): gan against .*, 5 paired seeds\.\n.+",
}


@pytest.mark.parametrize("name", FILES)
def test_a_quick_run_prints_its_result(name, tmp_path):
    command = [sys.executable] if name.endswith(".py") else ["bash"]
    folder = os.path.dirname(sys.executable)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_") or k.endswith("TELEMETRY")},
        "PATH": folder + os.pathsep + os.environ["PATH"],
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*command, str(RECIPES / name), "--quick"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(PRINTED[name], done.stdout), done.stdout


def test_every_recipe_is_in_the_table():
    table = (RECIPES / "README.md").read_text(encoding="utf-8")
    linked = re.findall(r"^\| \[[^\]]+\]\(([^)]+)\) \|", table, flags=re.M)
    assert sorted(linked) == FILES


@pytest.mark.parametrize("name", FILES)
def test_a_recipe_is_short(name):
    assert len((RECIPES / name).read_text(encoding="utf-8").splitlines()) <= 150
