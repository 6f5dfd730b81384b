"""Does a GAN fill help on imbalanced MNIST? Class sizes 4000 to 40 (DeepSMOTE), balanced test set.

GANAUG_DATA=... python benchmarks/mnist.py          # about 35 minutes on 2 cores
"""

import argparse

import numpy as np
from common import data_file, keep, markdown

import ganaug

SIZES = dict(enumerate([4000, 2000, 1000, 750, 500, 350, 200, 100, 60, 40]))


def main(seeds: int, train_images: int, width: int, steps: int, jobs: int) -> None:
    """Run the comparison, keep it, and print its tables."""
    with np.load(data_file("mnist.npz")) as data:
        X, y, X_test, y_test = (data[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    result = ganaug.compare(
        X,
        y,
        test=(X_test, y_test),
        labelled_per_class=SIZES,
        fill="balance",
        seeds=seeds,
        steps=steps,
        config=ganaug.GANConfig(width=width, train_images=train_images),
        n_jobs=jobs,
    )
    path = keep("mnist", result.to_dict())
    (path.parent / "mnist_samples.png").write_bytes(result.sample_grid or b"")
    print(markdown(result.table))
    print(markdown(result.per_class))
    print(result.sentence, f"{result.wall_seconds:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--train-images", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
