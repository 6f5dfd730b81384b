"""Parquet: pictures as Hugging Face's data sets hold them, tables as typed columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ganaug._checks import did_you_mean, listed
from ganaug.errors import DataError
from ganaug.formats.classes import named
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.formats.pictures import FREE_BYTES, MAX_RATIO, Decoder, encoded

CARD = b"ganaug"
PIECE = 256


def write_pictures(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the columns image (a struct of the PNG and its name) and label (the class index)."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    label = {"names": list(contents.names), "_type": "ClassLabel"}
    features = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    about = {CARD: contents.card, b"huggingface": json.dumps(features)}
    schema = pa.schema([("image", image), ("label", pa.int64())], metadata=about)
    number = shard.start
    with ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        for x, classes in rows:
            pictures = [
                {"bytes": encoded(picture), "path": f"{i:08d}.png"} for i, picture in enumerate(x, number)
            ]
            number += len(pictures)
            columns = [pa.array(pictures, image), pa.array(classes, pa.int64())]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def write_table(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the columns of a table, and that of labels."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    plain = pa.Schema.from_pandas(contents.frame, preserve_index=False)
    schema = plain.with_metadata({**(plain.metadata or {}), CARD: contents.card})
    with ParquetWriter(file, schema, compression="zstd") as writer:
        for frame, _ in rows:
            table = pa.Table.from_pandas(frame, schema=plain, preserve_index=False)
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def read_pictures(files: list[Path], contents: Contents | None = None) -> Iterator[tuple[Array, Array]]:
    """Yield pictures, and what the column of labels says."""
    for path in files:
        decode = Decoder(path, path.stat().st_size)
        for batch in _batches(path, ["image", "label"], PIECE):
            rows = batch.to_pylist()
            try:
                found = [decode(str(row["image"]["path"]), row["image"]["bytes"]) for row in rows]
            except TypeError as error:
                raise DataError(
                    f"{path} must hold pictures as a struct of bytes and path; {error}."
                ) from error
            yield np.stack(found), batch.column("label").to_numpy(zero_copy_only=False)


def read_table(files: list[Path], contents: Contents | None = None) -> Iterator[tuple[Any, Any]]:
    """Yield rows in their dtypes, and labels."""
    for path in files:
        for batch in _batches(path, None, 4096):
            frame = batch.to_pandas(integer_object_nulls=True)
            yield frame.iloc[:, :-1], frame.iloc[:, -1]


def open_file(path: Path, target: str) -> tuple[Any, Any, None]:
    """Return the images or the table of one file, and its labels."""
    with _opened(path) as opened:
        schema = opened.schema_arrow
        sizes = [opened.metadata.row_group(i).total_byte_size for i in range(opened.num_row_groups)]
        cells = opened.metadata.num_rows * opened.metadata.num_columns
        if max(sum(sizes), cells) > max(FREE_BYTES, MAX_RATIO * path.stat().st_size):
            raise DataError(
                f"{path} unpacks to more than {MAX_RATIO} times its size, as made-up files do that fill the "
                "memory; it is not read."
            )
        if {"image", "label"} <= set(schema.names):
            pieces = list(read_pictures([path]))
        else:
            frame = opened.read().to_pandas(integer_object_nulls=True)
    if {"image", "label"} <= set(schema.names):
        if not pieces:
            raise DataError(f"{path} must hold samples; it has none.")
        images, labels = (np.concatenate(each) for each in zip(*pieces, strict=True))
        return images, named(path, labels, _names(schema.metadata or {})), None
    if target not in frame.columns:
        raise DataError(
            f"{path} has no column {target!r}; it has {listed(frame.columns)}. Name the label column with "
            f"--target.{did_you_mean(target, frame.columns)}"
        )
    y = frame.pop(target)
    return frame, y, None


def _names(metadata: dict[bytes, bytes]) -> list[str] | None:
    """Return the names of the classes, as Hugging Face's data sets write them."""
    try:
        label = json.loads(metadata[b"huggingface"])["info"]["features"]["label"]
        return [str(name) for name in label["names"]]
    except (ValueError, TypeError, KeyError):
        return None


class _opened:
    """A parquet file whose faults are DataErrors that name it."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Any:
        from pyarrow.parquet import ParquetFile

        try:
            self.file = ParquetFile(self.path)
        except (ValueError, OSError) as error:
            raise DataError(f"{self.path} cannot be read as parquet: {error}") from error
        return self.file

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from pyarrow import ArrowException

        self.file.close()
        faults = (ArrowException, ValueError, OSError, KeyError)
        if isinstance(error, faults) and not isinstance(error, DataError):
            raise DataError(f"{self.path} cannot be read as parquet: {error}") from error


def _batches(path: Path, columns: list[str] | None, rows: int) -> Iterator[Any]:
    with _opened(path) as opened:
        if columns is not None and not set(columns) <= set(opened.schema_arrow.names):
            raise DataError(f"{path} must have the columns {columns}; it has {opened.schema_arrow.names}.")
        yield from opened.iter_batches(batch_size=rows, columns=columns)
