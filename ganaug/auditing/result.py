"""What `ganaug.audit` found."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganaug.auditing.pairs import Pairs

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

__all__ = ["Audit"]


@dataclass(frozen=True, eq=False)
class Audit:
    """The result of `ganaug.audit`: a verdict per class and over all, and what it rests on.

    Attributes
    ----------
    verdict : {"copies", "poor", "collapsed", "cannot be told", "sound"}
        The worst word of any class, or of all together.
    sentences : tuple of str
        The same in plain words: which classes, how much, what to do, and what could have gone unnoticed.
    table : DataFrame
        A row per class and one of their means (``overall``). `verdict`, the numbers of samples (`n_train`,
        `n_holdout`, `n_generated`), and for each measure its value for generated samples and, in the column
        ``.../real``, for as many real ones that were held out (without a hold-out: the other half of the
        training samples). In the features of a classifier trained on real samples (``/classifier``) and of
        a fixed random network (``/random``): `precision` (share of samples among the real ones), `recall`
        (share of real samples among these), `density`, `coverage`, `kernel_distance` (0 is best),
        `spread_ratio`. Besides: `recognised`, the share that this classifier takes for their class;
        `mistaken_for`, what else it takes them for most; `accuracy`, that of real samples after training on
        generated ones (the classification accuracy score).
    novelty : DataFrame
        A row per class, and one for all together. `identical` and `near_duplicates` of a training sample,
        `authenticity`, each beside that of real samples; `identical_limit`, a share of identical ones that no
        chance explains; `nearer_to_training`, the share of samples whose
        nearest real one is a training sample, beside the `expected` one and the range of luck; `copied`,
        the share of copies that would explain it; `C_T`; `holdout_shift`, a C_T of the held-out samples
        themselves, beyond 3 of which they are no yardstick; `p_value` and `p_holm`; `detectable`, the share
        of copies, if they are not near ones, that would be found in four of five cases.
    pairs : Pairs
        The most suspicious generated samples of each class beside their nearest training samples.
    settings : dict
        What was asked for, and versions.
    """

    verdict: str
    sentences: tuple[str, ...]
    table: "pd.DataFrame"
    novelty: "pd.DataFrame"
    pairs: Pairs
    settings: dict[str, Any]

    def picture(self) -> "Image":
        """Draw the most suspicious samples of each class, above the training samples nearest to them.

        Returns
        -------
        PIL.Image.Image
            Two rows per class, of up to 20 classes. It shows real samples: keep it like the data.

        Raises
        ------
        DataError
            If these are rows of a table.
        """
        return self.pairs.picture()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the pairs; None where there is no number.

        Returns
        -------
        dict
            ``verdict``, ``sentences``, ``settings``, and ``table`` and ``novelty`` as lists of rows.
        """
        return {
            "verdict": self.verdict,
            "sentences": list(self.sentences),
            "table": _rows(self.table),
            "novelty": _rows(self.novelty),
            "settings": self.settings,
        }

    def report(self, path: str | Path) -> Path:
        """Write it as one HTML file that needs nothing else.

        Parameters
        ----------
        path : str or Path
            The file; one that is there already is replaced at once, or not at all.

        Returns
        -------
        Path
            The file. It shows real samples: keep it like the data.

        Raises
        ------
        OutputExistsError
            If `path` is a folder.
        """
        from ganaug.auditing.report import write_report

        return write_report(self, path)

    def __str__(self) -> str:
        return f"{self.verdict}. {' '.join(self.sentences)}"


def _rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in frame.reset_index().to_dict("records")
    ]
