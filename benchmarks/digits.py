"""Does a GAN help with 10 labelled digits per class? All arms, paired seeds, own samples per seed.

python benchmarks/digits.py            # about 4 minutes on 2 cores
"""

import argparse

from common import keep, markdown

import ganaug
from ganaug.data.sources import open_data


def main(seeds: int, train_images: int, jobs: int) -> None:
    """Run the comparison, keep it, and print its tables."""
    source = open_data("digits")
    result = ganaug.compare(
        source.X,
        source.y,
        labelled_per_class=10,
        seeds=seeds,
        train_images=train_images,
        n_jobs=jobs,
        on_cell=lambda done, of: print(f"{done} of {of} cells", flush=True),
    )
    keep("digits", result.to_dict())
    (keep("digits", result.to_dict()).parent / "digits_samples.png").write_bytes(result.sample_grid or b"")
    print(markdown(result.table))
    print(result.sentence, f"{result.wall_seconds:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--train-images", type=int, default=30_000)
    parser.add_argument("--jobs", type=int, default=2)
    main(**vars(parser.parse_args()))
