"""A table as one samples.csv, whose texts are no formulas."""

import csv
import io
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ganaug._checks import listed
from ganaug.errors import DataError
from ganaug.formats.cells import neutral, restored
from ganaug.formats.contents import Array, Contents, Rows, Shard

CHUNK = 4096


def write(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the rows of a shard, without a header."""
    for frame, _ in rows:
        table = frame.copy(deep=False)
        for place, column in enumerate(frame.columns):
            table.isetitem(place, _neutral(frame[column]))
        quoting = _quoting(text for column in table for text in _texts(table[column]))
        content = table.to_csv(None, index=False, header=False, quoting=quoting, lineterminator="\n")
        file.write(content.encode("utf-8", "surrogatepass"))


def join(file: BinaryIO, parts: list[Path], classes: Iterator[Array], contents: Contents) -> None:
    """Write a header and the rows of all shards."""
    names = [neutral(name) for name in (*contents.columns, contents.target)]
    header = io.StringIO()
    csv.writer(header, lineterminator="\n", quoting=_quoting(names)).writerow(names)
    file.write(header.getvalue().encode())
    for part in parts:
        with open(part, "rb") as opened:
            shutil.copyfileobj(opened, file)


def read(files: list[Path], contents: Contents) -> Iterator[tuple[Any, Any]]:
    """Yield cells as text, None where there is none, and labels as text."""
    import pandas as pd

    (path,) = files
    names = [*contents.columns, contents.target]
    try:
        with open(path, encoding="utf-8", newline="") as opened:
            header = [restored(name) for name in next(csv.reader(opened), [])]
        if header != names:
            raise ValueError(f"its columns differ from those of the manifest: {listed(header)}")
        with pd.read_csv(
            path,
            header=0,
            names=range(len(names)),
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            chunksize=CHUNK,
            index_col=False,
        ) as chunks:
            for chunk in chunks:
                frame = chunk.astype(object).map(restored, na_action="ignore")
                yield frame.iloc[:, :-1], frame.iloc[:, -1].fillna("")
    except (ValueError, OSError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}") from error


def _quoting(texts: Iterable[str]) -> Literal[0, 1]:
    """Return the csv module's way to quote; the default one leaves a lone carriage return bare."""
    return csv.QUOTE_ALL if any("\r" in text for text in texts) else csv.QUOTE_MINIMAL


def _neutral(column: Any) -> Any:
    """Return a column with its texts, or those of its categories, made harmless."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        names = column.cat.categories
        return column.cat.rename_categories([neutral(n) if isinstance(n, str) else n for n in names])
    if isinstance(column.dtype, pd.StringDtype) or column.dtype == object or column.dtype.kind == "U":
        return column.map(lambda v: neutral(v) if isinstance(v, str) else v, na_action="ignore")
    return column


def _texts(column: Any) -> list[str]:
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.categories
    return [v for v in column if isinstance(v, str)] if getattr(column.dtype, "kind", "O") in "OU" else []
