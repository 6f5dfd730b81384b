"""WebDataset: tar files of 00000000.png and 00000000.cls, the same bytes for the same samples."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from ganaug.errors import DataError
from ganaug.formats.classes import named, names_of
from ganaug.formats.contents import Array, Contents, Rows, Shard
from ganaug.formats.files import inside
from ganaug.formats.pictures import Decoder, encoded

CARD = "GANAUG.card"
PICTURES = ("png", "jpg", "jpeg")
MAX_MEMBER_BYTES = 64_000_000
PIECE = 256


def write(file: BinaryIO, folder: Path, shard: Shard, rows: Rows, contents: Contents) -> None:
    """Write the samples of a shard; class indices are texts, names stand in the header."""
    number = shard.start
    about = {CARD: contents.card} if shard.n else None  # tarfile reads no archive of a header alone
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers=about) as tar:
        for x, classes in rows:
            for picture, c in zip(x, classes.tolist(), strict=True):
                _add(tar, f"{number:08d}.png", encoded(picture))
                _add(tar, f"{number:08d}.cls", str(c).encode())
                number += 1
            _forget(tar)


def read(files: list[Path], contents: Contents | None = None) -> Iterator[tuple[Array, Array]]:
    """Yield pictures, and what their .cls files say: class indices, or texts."""
    for path in files:
        decode, pictures, labels = Decoder(path, path.stat().st_size), [], []
        for name, content, label in _samples(path):
            pictures.append(decode(name, content))
            labels.append(label)
            if len(pictures) == PIECE:
                yield np.stack(pictures), _labels(labels)
                pictures, labels = [], []
        if pictures:
            yield np.stack(pictures), _labels(labels)


def open_file(path: Path, target: str) -> tuple[Array, Array, None]:
    """Return the images and labels of one tar file; names of classes where its header has them."""
    pieces = list(read([path]))
    if not pieces:
        raise DataError(f"{path} must hold samples; it has none.")
    images, labels = (np.concatenate(each) for each in zip(*pieces, strict=True))
    with tarfile.open(path, "r:") as tar:
        tar.next()
        card = tar.pax_headers.get(CARD)
    return images, named(path, labels, names_of(card)), None


def _forget(tar: tarfile.TarFile) -> None:
    """Drop the members that tarfile keeps for its own lookups."""
    members: list[tarfile.TarInfo] = vars(tar)["members"]
    members.clear()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))


def _samples(path: Path) -> Iterator[tuple[str, bytes, str]]:
    """Yield (name, picture, label) of members that follow each other; nothing is unpacked to the disk."""
    key, found = "", dict[str, bytes]()
    for name, content in _members(path):
        stem, _, suffix = PurePosixPath(name).name.partition(".")
        own = str(PurePosixPath(name).parent / stem)
        if own != key:
            if found:
                yield _sample(path, key, found)
            key, found = own, {}
        if suffix.lower() in found:
            raise DataError(f"{path} holds {name} twice.")
        found[suffix.lower()] = content
    if found:
        yield _sample(path, key, found)


def _sample(path: Path, key: str, found: dict[str, bytes]) -> tuple[str, bytes, str]:
    picture = [suffix for suffix in PICTURES if suffix in found]
    if len(picture) != 1 or "cls" not in found:
        raise DataError(
            f"{path} must hold a picture (.png or .jpg) and a .cls file with its class for each sample, one "
            f"after the other; {key} has {sorted(found)}."
        )
    try:
        return f"{key}.{picture[0]}", found[picture[0]], found["cls"].decode().strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{key}.cls in {path} is no text: {error}.") from error


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                _forget(tar)
                inside(path.parent, member.name)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise ValueError(f"{member.name} is a link or a device, and only plain files are read")
                if member.size > MAX_MEMBER_BYTES:
                    raise ValueError(f"{member.name} has {member.size} bytes: too many")
                opened: Any = tar.extractfile(member)
                content = opened.read()
                if len(content) != member.size:
                    raise ValueError(f"{member.name} is cut")
                yield member.name, content
    except (tarfile.TarError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a tar file: {error}") from error


def _labels(labels: list[str]) -> Array:
    whole = all(label.isascii() and label.isdigit() and len(label) < 10 for label in labels)
    return np.array([int(label) for label in labels]) if whole else np.array(labels)
