"""The generated samples that are most suspicious, each beside the training sample nearest to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ganaug.data.schema import Schema, take
from ganaug.data.tables import TableCodec
from ganaug.errors import DataError
from ganaug.evaluation.neighbours import Neighbours
from ganaug.experiment.specimens import column_names, pictures_of, texts_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Pairs"]

Array = np.ndarray[Any, Any]

N_CLASSES = 20
N_PAIRS = 8
GAP = 2
WHITE = 255
LEAST_SIDE = 32


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of one generated and one real sample, by class, the most suspicious first."""

    class_index: Array  # (n,)
    ratio: Array  # (n,) distance over that from the real sample to its own nearest: 0 is a copy, 1 is usual
    generated: Any  # pictures (n, height, width, channels), or rows of text
    nearest: Any
    columns: tuple[str, ...] = ()  # of a table

    @classmethod
    def of(
        cls,
        schema: Schema,
        classes: Sequence[Neighbours | None],
        fake: tuple[Any, Sequence[Array]],
        train: tuple[Any, Sequence[Array]],
    ) -> "Pairs":
        """Return the pairs of the first classes; beside the samples are given the rows of each class."""
        c, ratios, of_fake, of_train = [], [], [], []
        for k, found in enumerate(classes[:N_CLASSES]):
            if found is None:
                continue
            ratio = found.distance / found.own
            first = np.argsort(ratio, kind="stable")[:N_PAIRS]
            c += [k] * len(first)
            ratios += ratio[first].tolist()
            of_fake += fake[1][k][first].tolist()
            of_train += train[1][k][found.row[first]].tolist()
        shown = [take(fake[0], np.array(of_fake, np.int64)), take(train[0], np.array(of_train, np.int64))]
        if isinstance(schema.codec, TableCodec):
            generated, nearest = map(texts_of, shown)
            return cls(np.array(c), np.array(ratios), generated, nearest, column_names(schema.codec))
        above, below = (pictures_of(schema.encode_X(part)) for part in shown)
        return cls(np.array(c, np.int64), np.array(ratios), above, below)

    def picture(self) -> "Image":
        """Return a picture of two rows per class: generated samples, and the nearest real ones below."""
        from PIL import Image

        if self.columns or not len(self.class_index):
            raise DataError("a picture needs images; the rows of a table are in `pairs` and in the report.")
        _, height, width, channels = self.generated.shape
        scale = max(1, LEAST_SIDE // max(height, width))
        height, width = height * scale, width * scale
        shown = np.unique(self.class_index)
        size = (len(shown) * (2 * height + 3 * GAP), N_PAIRS * (width + GAP) + GAP, channels)
        canvas = np.full(size, WHITE, np.uint8)
        for i, k in enumerate(shown):
            for j, row in enumerate(np.flatnonzero(self.class_index == k)):
                top, left = GAP + i * (2 * height + 3 * GAP), GAP + j * (width + GAP)
                for part in (self.generated, self.nearest):
                    tile = part[row].repeat(scale, 0).repeat(scale, 1)
                    canvas[top : top + height, left : left + width] = tile
                    top += height
        return Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
