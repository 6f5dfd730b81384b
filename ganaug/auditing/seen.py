"""Which samples of a data set a generator has seen, and which it has not."""

from typing import TYPE_CHECKING, Any

from ganaug.auditing.audit import same_data
from ganaug.auditing.holdout import Holdout
from ganaug.data.schema import take
from ganaug.data.sources import Source
from ganaug.errors import DataError

if TYPE_CHECKING:
    from ganaug.generator import ConditionalGAN

__all__ = ["seen_and_unseen"]

Pair = tuple[Any, Any]


def seen_and_unseen(
    gan: "ConditionalGAN | None", data: Source, record: Holdout | None, holdout: Source | None
) -> tuple[Pair, Pair | None]:
    """Return the training samples of a generator, and samples of the same kind that it has not seen, or None.

    Unseen are those of `holdout`, else those that the record of the run left aside, else the test part of
    the data. Where the training samples are not those that the run remembers, only a `holdout` will do.

    Raises
    ------
    DataError
        If it cannot be known what the generator has seen.
    """
    seen, unseen = (data.X, data.y), data.test
    if record is not None:
        rows, held = record.split(data.y)
        seen, unseen = ((take(data.X, part), take(data.y, part)) for part in (rows, held))
    if holdout is not None:
        return seen, (holdout.X, holdout.y)
    if gan is not None and same_data(gan, *seen) is False:
        whose = "the part of DATA that the run's holdout.json leaves to it" if record else "DATA"
        raise DataError(
            f"{whose} is not what the generator was trained on ({len(seen[1]):,} samples; the fingerprints "
            "differ), so that it cannot be known what it has seen. Give the data of ganaug fit, unchanged; "
            "or, if DATA holds all that it was trained on, name other samples with --holdout."
        )
    return seen, unseen
