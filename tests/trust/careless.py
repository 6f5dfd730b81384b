"""Openers with one fault each, which a hunt has to find."""

import ctypes
import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
from hunt import Target

from ganaug.errors import DataError

SOUND = b"123456789" * 9


def make(folder: Path) -> None:
    (folder / "file").write_bytes(SOUND)


def read(folder: Path) -> bytes:
    content = (folder / "file").read_bytes()
    if content != SOUND and content[:9] != SOUND[:9]:
        raise DataError(f"{folder} is damaged")
    return content


def crash(folder: Path) -> int:
    return {SOUND: 1}[read(folder)]


def hang(folder: Path) -> None:
    if read(folder) != SOUND:
        time.sleep(60)


def allocate(folder: Path) -> int:
    return len(np.ones(1 if read(folder) == SOUND else 10**10))


def anonymous(folder: Path) -> None:
    if read(folder) != SOUND:
        raise DataError("some file is damaged")


def die(folder: Path) -> None:
    if read(folder) != SOUND:
        ctypes.string_at(0)


def unpickle(folder: Path) -> Any:
    content = (folder / "file").read_bytes()
    try:
        return content if content == SOUND else pickle.loads(content)
    except Exception as error:
        raise DataError(f"{folder} is damaged") from error


def careless(opener: Any, **settings: Any) -> Target:
    return Target(make=make, open=opener, errors=(DataError,), **settings)


TARGETS = {
    "KeyError": careless(crash),
    "hang": careless(hang, cost=10),
    "MemoryError": careless(allocate),
    "names no file": careless(anonymous),
    "opened as another": careless(read, sealed=True),
    "died": careless(die, cost=8),
    "ran code": careless(unpickle),
}
