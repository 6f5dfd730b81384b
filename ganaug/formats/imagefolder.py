"""An image folder: class/00000.png, and a metadata.csv with a row per file."""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ganaug.errors import DataError
from ganaug.formats.cells import neutral
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.formats.files import inside, sha256_of_file
from ganaug.formats.pictures import Decoder, encoded

COLUMNS = ("file_name", "label", "synthetic", "sha256")
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}
MAX_NAME_BYTES = 100
PIECE, BLOCK = 256, 4096


def write(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the pictures of a shard, and its rows of metadata."""
    folders, written = folder_names(contents.names), dict(shard.firsts)
    digits = max(5, len(str(max(contents.counts, default=0) - 1)))
    for name in folders:
        (folder / name).mkdir(exist_ok=True)
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    table = csv.writer(text, lineterminator="\r\n")
    for x, classes in rows:
        for picture, c in zip(x, classes.tolist(), strict=True):
            png, name = encoded(picture), f"{folders[c]}/{written[c]:0{digits}d}.png"
            (folder / name).write_bytes(png)
            table.writerow([name, neutral(contents.names[c]), "true", hashlib.sha256(png).hexdigest()])
            written[c] += 1
    text.detach()


def join(file: BinaryIO, parts: list[Path], classes: Iterator[Array], contents: Contents) -> None:
    """Write the metadata of all shards."""
    file.write((",".join(COLUMNS) + "\r\n").encode())
    for part in parts:
        file.write(part.read_bytes())


def whole(part: Path, folder: Path) -> bool:
    """Return whether all pictures of a shard are there as its metadata says."""
    with open(part, encoding="utf-8", newline="") as opened:
        return all(_is(folder / row[0], row[-1]) for row in csv.reader(opened))


def read(files: list[Path], contents: Contents) -> Rows:
    """Yield the pictures that the metadata names, checked against their sums, and class indices."""
    (metadata,) = files
    folder = metadata.parent
    decode = Decoder(folder, sum(contents.counts) * BLOCK)
    index = {name: c for c, name in enumerate(folder_names(contents.names))}
    try:
        for rows in _batches(metadata):
            pictures = []
            for row in rows:
                content = inside(folder, row["file_name"]).read_bytes()
                if hashlib.sha256(content).hexdigest() != row["sha256"]:
                    raise ValueError(f"{row['file_name']} differs from its sum")
                pictures.append(decode(row["file_name"], content))
            yield np.stack(pictures), np.array([index[row["file_name"].split("/")[0]] for row in rows])
    except DataError:
        raise
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(f"{metadata} cannot be read: {error}") from error


def _batches(metadata: Path) -> Iterator[list[dict[str, str]]]:
    with open(metadata, encoding="utf-8", newline="") as opened:
        batch = []
        for row in csv.DictReader(opened):
            batch.append(row)
            if len(batch) == PIECE:
                yield batch
                batch = []
        if batch:
            yield batch


def _is(file: Path, sha256: str) -> bool:
    return file.is_file() and sha256_of_file(file) == sha256


def folder_names(names: tuple[str, ...]) -> list[str]:
    """Return one distinct folder name per class that every file system takes."""
    safe = [_safe(name) for name in names]
    distinct = len({s.casefold() for s in safe}) == len(safe)
    return safe if distinct else [f"{i}-{s}" for i, s in enumerate(safe)]


def _safe(name: str) -> str:
    text = re.sub(r"[^\w\- ]+", "_", unicodedata.normalize("NFC", name)).strip() or "_"
    text = text.encode()[:MAX_NAME_BYTES].decode(errors="ignore").strip()
    return f"_{text}" if text.casefold() in RESERVED else text
