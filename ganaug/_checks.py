"""Every argument message is built here: the name, what was expected, what came, how to mend it."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ganaug.errors import CheckpointError, ConfigError, DataError, OutputExistsError

BROKEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a description raises that was damaged, or made to harm: it may hold anything in any place."""


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; a pipe or a device in its place raises ValueError."""
    if not path.is_file():
        raise ValueError(f"{path} is no file")
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever a broken description raises into a CheckpointError that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except BROKEN as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise CheckpointError(f"{path} is not {what} that ganaug saved, or was changed: {reason}.") from error


def did_you_mean(value: object, known: Iterable[object]) -> str:
    """Return " Did you mean 'x'?" for the nearest known name, or an empty string."""
    near = difflib.get_close_matches(str(value), [str(k) for k in known], n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def listed(values: Iterable[object], limit: int = 12) -> str:
    """Return the values as a comma-separated text, cut after `limit`."""
    shown = [_short(repr(v.item() if isinstance(v, np.generic) else v)) for v in values]
    return ", ".join(shown[:limit]) + (f", ... ({len(shown)} in all)" if len(shown) > limit else "")


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def known_name(name: str, value: object, table: Iterable[str]) -> str:
    """Return `value` if the table has it, else raise with the nearest name."""
    names = list(table)
    if value not in names:
        raise ConfigError(
            f"{name} must be one of {listed(names)}; got {value!r}.{did_you_mean(value, names)}"
        )
    return str(value)


def described(name: str, value: Mapping[str, Any], table: Mapping[str, Any]) -> Any:
    """Return the object that {"type": ..., fields} describes, of a type that the table holds."""
    kinds = {f"{type(entry).__module__}:{type(entry).__qualname__}": type(entry) for entry in table.values()}
    fields = dict(value)
    return kinds[known_name(f"type of {name}", fields.pop("type", None), kinds)](**fields)


def number(
    name: str,
    value: Any,
    *,
    low: float,
    high: float = float("inf"),
    integer: bool = False,
    open_low: bool = False,
) -> None:
    """Raise unless `value` is a finite number in [low, high], or (low, high] where `open_low`."""
    kinds = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    good = isinstance(value, kinds) and not isinstance(value, bool)
    if not (good and np.isfinite(value) and low <= value <= high and not (open_low and value == low)):
        kind = "an integer" if integer else "a number"
        span = f"above {low:g}" if open_low else f"of at least {low:g}"
        span += f" and at most {high:g}" if np.isfinite(high) else ""
        raise ConfigError(f"{name} must be {kind} {span}; got {value!r}.")


def finite(name: str, values: np.ndarray[Any, Any]) -> None:
    """Raise if an array holds NaN or infinite values, saying how many and where the first one is."""
    if values.dtype.kind != "f":
        return
    bad = ~np.isfinite(values)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(
            f"{name} must be finite; got {int(bad.sum())} NaN or infinite values of "
            f"{values.size}, the first at index {where}. Impute or drop these samples first."
        )


@contextmanager
def writing(path: Path, own: type[Exception] = OSError) -> Iterator[None]:
    """Turn an OSError, or a library's own error in its place, into an OSError that names the file."""
    try:
        yield
    except (OSError, own) as error:
        if str(path) in str(error):
            raise
        told = OSError(f"{path} cannot be written: {error}. What was written before stays; free some room.")
        told.errno = getattr(error, "errno", None)
        raise told from error


def empty_folder(path: str | Path, *, hint: str = "") -> Path:
    """Return `path` as a folder that may be written to; raise if something is there already."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise OutputExistsError(f"{folder} must be a folder; got a file. Choose another path.")
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputExistsError(
            f"{folder} must be an empty or new folder; got one that holds "
            f"{len(list(folder.iterdir()))} entries. Choose another path{hint}; nothing was written."
        )
    return folder
