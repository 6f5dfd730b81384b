"""Formats of files: how samples are written shard by shard, and read back piece by piece."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ganaug._checks import known_name, listed
from ganaug.errors import ConfigError
from ganaug.formats import imagefolder, npy, npz, parquet, table_csv, webdataset
from ganaug.formats.contents import Array, Contents, Rows, Shard

PNG_BYTES, BLOCK, ENTRY = 200, 4096, 512


@dataclass(frozen=True, kw_only=True)
class Format:
    """A layout of files: each shard becomes a part; where there is a `whole`, `join` makes it of them."""

    takes: str  # "arrays", "pictures" (bytes) or "frames" (with labels), which `write` is given
    part: str  # name of a shard's file, with a place for its number
    write: Callable[[BinaryIO, Path, Shard, Rows, Contents], None]
    read: Callable[[list[Path], Contents], Iterator[tuple[Any, Any]]] | None = None  # None: it is mapped
    whole: str | None = None
    join: Callable[[BinaryIO, list[Path], Iterator[Array], Contents], None] | None = None
    staged: bool = False  # whether parts are only kept until they are joined
    check: Callable[[Path, Path], bool] | None = None  # whether what a part describes is there
    sample_bytes: Callable[[int, int], int]  # about, on the disk, of (bytes in a bank, values)


IMAGE_FOLDER = Format(
    takes="pictures",
    part="part-{:05d}.csv",
    write=imagefolder.write,
    read=imagefolder.read,
    whole="metadata.csv",
    join=imagefolder.join,
    staged=True,
    check=imagefolder.whole,
    sample_bytes=lambda stored, values: math.ceil((values + PNG_BYTES) / BLOCK) * BLOCK + 2 * PNG_BYTES,
)
CSV = Format(
    takes="frames",
    part="part-{:05d}.csv",
    write=table_csv.write,
    read=table_csv.read,
    whole="samples.csv",
    join=table_csv.join,
    staged=True,
    sample_bytes=lambda stored, values: 2 * 20 * (values + 1),
)
NPZ = Format(
    takes="arrays",
    part="part-{:05d}.bin",
    write=npz.write,
    read=npz.read,
    whole="samples.npz",
    join=npz.join,
    staged=True,
    sample_bytes=lambda stored, values: 2 * stored + 8,
)
BANK = Format(
    takes="arrays",
    part="samples-{:05d}.npy",
    write=npy.write,
    whole="classes.npy",
    join=npy.join,
    sample_bytes=lambda stored, values: stored + 8,
)
WEBDATASET = Format(
    takes="pictures",
    part="shard-{:05d}.tar",
    write=webdataset.write,
    read=webdataset.read,
    sample_bytes=lambda stored, values: math.ceil((values + PNG_BYTES) / ENTRY) * ENTRY + 3 * ENTRY,
)
PARQUET_PICTURES = Format(
    takes="pictures",
    part="data-{:05d}.parquet",
    write=parquet.write_pictures,
    read=parquet.read_pictures,
    sample_bytes=lambda stored, values: values + PNG_BYTES,
)
PARQUET_TABLE = Format(
    takes="frames",
    part="data-{:05d}.parquet",
    write=parquet.write_table,
    read=parquet.read_table,
    sample_bytes=lambda stored, values: 9 * (values + 1),
)

FORMATS: dict[str, dict[str, Format]] = {
    "imagefolder": {"image": IMAGE_FOLDER},
    "csv": {"table": CSV},
    "npz": {"image": NPZ, "table": NPZ},
    "parquet": {"image": PARQUET_PICTURES, "table": PARQUET_TABLE},
    "webdataset": {"image": WEBDATASET},
    "bank": {"image": BANK, "table": BANK},
}
"""Formats by name and kind of data."""

OPENERS: dict[str, Callable[[Path, str], tuple[Any, Any, tuple[str, ...] | None]]] = {
    ".parquet": parquet.open_file,
    ".tar": webdataset.open_file,
}
"""What opens single files, from wherever they are: (path, label column) to (X, y, class names)."""

FILES = {"image": "imagefolder", "table": "csv"}
"""What "files" means."""


def format_of(name: str, kind: str) -> Format:
    """Return the format of that name for "image" or "table"; ConfigError where it has none."""
    known_name("format", name, FORMATS)
    if kind not in FORMATS[name]:
        fitting = [other for other, kinds in FORMATS.items() if kind in kinds]
        raise ConfigError(f"format must be one of {listed(fitting)} for a {kind}; got {name!r}.")
    return FORMATS[name][kind]
