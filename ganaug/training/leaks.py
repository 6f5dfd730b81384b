"""The augmentation leak test at the end of a training."""

import warnings
from collections.abc import Sequence

from ganaug._random import derive
from ganaug.errors import GanaugWarning
from ganaug.evaluation.leak import LEAST_IMAGES, Leak, augmentation_leak
from ganaug.training.batches import BalancedBatches
from ganaug.training.drawing import Drawing

N_IMAGES = 500


def find_leaks(
    drawing: Drawing, batches: BalancedBatches, policy: Sequence[str], *, seed: int
) -> dict[str, Leak]:
    """Return the test of training images against generated ones of the same classes; warn of a leak.

    Too few images to tell give no result.
    """
    x, c = batches.sample(N_IMAGES)
    if len(x) < LEAST_IMAGES:
        return {}
    x_fake = drawing.mixed(c, stream=derive(seed, "leak"))
    leaks = augmentation_leak(x, x_fake, policy, c=c, c_fake=c)
    for name, leak in leaks.items():
        if leak.leaked:
            warnings.warn(
                f"the augmentation {name!r} shows in {leak.share_fake:.0%} of the generated images and in "
                f"{leak.share_real:.0%} of the real ones: G has learned it. Drop it from diffaugment, or "
                "set ada_target, which augments no more than D's overfitting asks for.",
                GanaugWarning,
                stacklevel=5,
            )
    return leaks
