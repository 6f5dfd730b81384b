"""The reading of an image folder, first and again: images per second, and memory.

Each reading is a process of its own. The bare loop opens every file with Pillow into one array, as a user
would write it; torchvision's ImageFolder gives the same through its own loader. Files lie in the page cache.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import keep, markdown
from PIL import Image

READERS = {
    "Pillow in a loop": """
from PIL import Image
files = sorted(root.glob("*/*.png"))
X = np.empty((len(files), side, side, 3), np.uint8)
for i, file in enumerate(files):
    with Image.open(file) as image:
        X[i] = image
""",
    "torchvision ImageFolder": """
from torchvision.datasets import ImageFolder
data = ImageFolder(root)
X = np.empty((len(data), side, side, 3), np.uint8)
for i in range(len(data)):
    X[i] = data[i][0]
""",
    "ganaug, without cache": "os.environ['GANAUG_CACHE'] = 'off'\n",
    "ganaug, first time": "shutil.rmtree(os.environ['GANAUG_CACHE'], ignore_errors=True)\n",
    "ganaug, again": "",
}
GANAUG = """
from ganaug.data.image_folder import read_image_folder
X = np.asarray(read_image_folder(root)[0])
"""
TIMED = """
import json, os, resource, shutil, sys, time
import numpy as np, psutil
from pathlib import Path
import ganaug.data.image_folder, torchvision.datasets, PIL.Image, PIL.ImageOps, PIL.PngImagePlugin
root, side = Path(sys.argv[1]), int(sys.argv[2])
me = psutil.Process()
{prepare}
before, begun = me.memory_full_info().uss, time.perf_counter()
{read}
seconds = time.perf_counter() - begun
own = me.memory_full_info().uss - before
print(json.dumps({{"seconds": seconds, "own": own, "data": X.nbytes, "sum": int(X[::97].sum())}}))
"""


def read(root: Path, side: int, reader: str) -> dict[str, float]:
    """Return seconds, memory of its own and a check sum of one reading in a new process."""
    code = READERS[reader]
    prepare, body = (code, GANAUG) if reader.startswith("ganaug") else ("", code)
    program = TIMED.format(prepare=prepare, read=body)
    done = subprocess.run(
        [sys.executable, "-c", program, root, str(side)], capture_output=True, check=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(images: int, side: int, repeats: int) -> None:
    """Write a folder of pictures, read it in turn by all readers, and print the table."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        root, os.environ["GANAUG_CACHE"] = Path(temporary) / "images", f"{temporary}/cache"
        smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).resize((512, 512)))
        for i in range(images):
            file = root / f"class{i % 10}" / f"{i:06d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            y, x = rng.integers(0, 512 - side, 2)
            Image.fromarray(smooth[y : y + side, x : x + side]).save(file)
        time.sleep(1)  # a cache takes no file that may change again within the clock's grain
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
        for _ in range(repeats):
            for name in READERS:
                runs[name].append(read(root, side, name))
    if len({run["sum"] for found in runs.values() for run in found}) > 1:
        raise SystemExit("the readers do not agree on the pixels")
    rows = [
        {
            "reader": name,
            "images/s": round(images / statistics.median(r["seconds"] for r in found)),
            "seconds": statistics.median(r["seconds"] for r in found),
            "memory of its own / data": statistics.median(r["own"] / r["data"] for r in found),
        }
        for name, found in runs.items()
    ]
    keep("image_folder", {"images": images, "side": side, "repeats": repeats, "rows": rows})
    print(markdown(pd.DataFrame(rows).set_index("reader")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    main(**vars(parser.parse_args()))
