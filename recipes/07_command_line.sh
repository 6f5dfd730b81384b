#!/usr/bin/env bash
# From a folder of images to a generator, new images and a verdict, without writing Python.
# Everything is written below the current folder, in recipe-07. Usage: 07_command_line.sh [--quick]
set -euo pipefail

train_images=20000 steps=400 seeds=6 more="--report report.html"
if [ "${1:-}" = "--quick" ]; then
    train_images=100 steps=5 seeds=3 more="--no-track --jobs 1"
fi
python=${PYTHON:-python}
if command -v ganaug >/dev/null; then ganaug=(ganaug); else ganaug=("$python" -m ganaug); fi

mkdir recipe-07
cd recipe-07
export MLFLOW_TRACKING_URI=sqlite:///mlflow.db

# %% An image folder, one folder per class: handwritten 3s, 5s and 8s, of which the 8s are rare
"$python" -c '
from pathlib import Path
from PIL import Image
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
for label, n in ((3, 60), (5, 60), (8, 15)):
    folder = Path("scans") / str(label)
    folder.mkdir(parents=True)
    for i, pixels in enumerate(X[y == label][:n].reshape(-1, 8, 8)):
        Image.fromarray((pixels * 255 / 16).astype("uint8")).save(folder / f"{i:03}.png")
'

# %% Learn a generator per class, then draw 50 new images of each
"${ganaug[@]}" fit scans --out run --train-images "$train_images" --seed 0
"${ganaug[@]}" generate run --per-class 50 --out synthetic --seed 1
echo "synthetic/8 holds $(find synthetic/8 -name '*.png' | wc -l | tr -d ' ') images"

# %% Look at them: for each class a row of scans, and below it the first images of the generator
"$python" -c '
from pathlib import Path
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
rows = [(folder, label) for label in "358" for folder in ("scans", "synthetic")]
fig = Figure(figsize=(7, 3.6), layout="constrained")
for axes, (folder, label) in zip(fig.subplots(len(rows), 1), rows):
    files = sorted(Path(folder, label).glob("*.png"))
    images = np.pad([np.asarray(Image.open(file)) for file in files[:14]], ((0, 0), (0, 0), (1, 1)))
    axes.imshow(np.hstack(images), cmap="gray_r")
    axes.set(xticks=[], yticks=[])
    words = f"{len(files)} scans" if folder == "scans" else "generated"
    axes.set_ylabel(f"{label}, {words}", rotation=0, ha="right", va="center")
fig.savefig("07_command_line.png", dpi=130)
'

# %% Do they help a classifier? The folder synthetic is not used: each seed fits its own generator
"${ganaug[@]}" compare scans --seeds "$seeds" --arms "nothing,oversampling,classic,gan" \
    --train-images "$train_images" --steps "$steps" --seed 0 $more
