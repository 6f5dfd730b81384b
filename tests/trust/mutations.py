"""Damage to files: blind changes of bytes, and changes of meaning inside JSON, all from one seed."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Rng = np.random.Generator

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def _place(rng: Rng, content: bytes) -> int:
    """Return a position, in half of the cases within the first 256 bytes, where headers are."""
    within = min(len(content), 256) if rng.random() < 0.5 else len(content)
    return int(rng.integers(max(1, within)))


def _span(rng: Rng, content: bytes) -> slice:
    start = _place(rng, content)
    return slice(start, start + int(2 ** rng.uniform(0, 10)))


def flip_bit(rng: Rng, content: bytes) -> bytes:
    content = content or b"\0"
    i = _place(rng, content)
    return content[:i] + bytes([content[i] ^ 1 << int(rng.integers(8))]) + content[i + 1 :]


def overwrite(rng: Rng, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.start] + rng.bytes(span.stop - span.start) + content[span.stop :]


def zero(rng: Rng, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.start] + bytes(len(content[span])) + content[span.stop :]


def truncate(rng: Rng, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def extend(rng: Rng, content: bytes) -> bytes:
    return content + rng.bytes(int(2 ** rng.uniform(0, 12)))


def remove(rng: Rng, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.start] + content[span.stop :]


def duplicate(rng: Rng, content: bytes) -> bytes:
    span = _span(rng, content)
    return content[: span.stop] + content[span.start :]


def swap(rng: Rng, content: bytes) -> bytes:
    a, b = sorted(_place(rng, content) for _ in range(2))
    n = int(min(b - a, 2 ** rng.uniform(0, 8)))
    return content[:a] + content[b : b + n] + content[a + n : b] + content[a : a + n] + content[b + n :]


def set_integer(rng: Rng, content: bytes) -> bytes:
    i, width = _place(rng, content), int(rng.choice([1, 2, 4, 8]))
    value = INTERESTING[rng.integers(len(INTERESTING))] & (1 << 8 * width) - 1
    return (
        content[:i] + value.to_bytes(width, "little" if rng.random() < 0.5 else "big") + content[i + width :]
    )


def edit_digit(rng: Rng, content: bytes) -> bytes:
    """Change, add or remove an ASCII digit where there is one, as in the sizes that headers give."""
    places = [i for i, byte in enumerate(content[:20_000]) if 48 <= byte <= 57]
    if not places:
        return flip_bit(rng, content)
    i = places[rng.integers(len(places))]
    new = (b"", b"9" * int(rng.integers(1, 19)), b"-1", str(rng.integers(10)).encode())[rng.integers(4)]
    return content[:i] + new + content[i + 1 :]


class Code:
    """An object whose unpickling runs code, which leaves a mark in the process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"import sys; sys.modules[{CANARY!r}] = sys",)


CANARY = "canary_of_the_mine"
"""Name of the module that is there once the code of a pickle ran."""


def plant_code(rng: Rng, content: bytes) -> bytes:
    """Return a pickle, alone or as numpy and torch pack it, in the place of all or the end of a file."""
    packed = io.BytesIO()
    pack = rng.integers(5)
    if pack == 0:
        return pickle.dumps(Code())
    if pack == 1:
        return content[: _place(rng, content)] + pickle.dumps(Code())
    if pack == 2:
        np.save(packed, np.array([Code()], dtype=object))
    elif pack == 3:
        np.savez(packed, x=np.array([Code()] * 4, dtype=object), y=np.arange(4) % 2)
    else:
        with zipfile.ZipFile(packed, "w") as file:
            for name, part in (("a/data.pkl", pickle.dumps(Code())), ("a/version", b"3")):
                file.writestr(name, part)
    return packed.getvalue()


BYTES: dict[str, Callable[[Rng, bytes], bytes]] = {
    "bit flipped": flip_bit,
    "bytes overwritten": overwrite,
    "bytes zeroed": zero,
    "cut": truncate,
    "extended": extend,
    "bytes removed": remove,
    "bytes doubled": duplicate,
    "bytes swapped": swap,
    "integer set": set_integer,
    "digit edited": edit_digit,
    "code planted": plant_code,
}
"""Every way to damage bytes, by name."""

WEIRD: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2, 10**9, 10**12, -(10**18), 2**63, 10**400, 0.5, -0.0, float("nan"), float("inf"),
    1e308, "", "x", "O", "|O", "|V1000000000", "<U1000000000", "<M8[ns]", "object", "category", "table",
    "image", "nchw", "pandas", "torch", "integer", "\ud800", "\x00", "../../x", "builtins:eval", "A" * 5000,
    [], [[]], {}, [0], [-1], [10**9] * 3, ["a", "a"], [1, "a"], {"type": "os:system"}, [float("nan")],
)  # fmt: skip
"""Values that no `to_dict` writes in the place where they are put."""


DEEP, ABYSS = "@deep@", 100_000


def dumps(document: Any) -> str:
    """Return JSON, with lists in lists a hundred thousand deep in the place of DEEP."""
    return json.dumps(document).replace(f'"{DEEP}"', "[" * ABYSS + "]" * ABYSS)


def _places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path of each value inside a JSON document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _places_of(inner, (*path, key))


def change_json(rng: Rng, document: Any) -> Any:
    """Return a copy of a JSON document in which one value was changed, removed, renamed, doubled or moved."""
    document = json.loads(json.dumps(document))
    places = [path for path in _places_of(document) if path]
    if not places:
        return WEIRD[rng.integers(len(WEIRD))]
    depths = [len(path) for path in places]
    depth = int(rng.integers(min(depths), max(depths) + 1))  # a list of a thousand numbers is one thing
    places = [path for path in places if len(path) == depth]
    *above, key = places[rng.integers(len(places))]
    parent = document
    for step in above:
        parent = parent[step]
    kind = rng.integers(8)
    if kind <= 3:
        parent[key] = WEIRD[rng.integers(len(WEIRD))]
    elif kind == 4:
        del parent[key]
    elif kind == 5:
        parent[key] = DEEP
    elif kind == 6 and isinstance(parent, dict):
        parent[f"{key}_"] = parent.pop(key)
    elif kind == 6:
        parent.insert(int(key), parent[key])
    elif isinstance(parent, list):
        other = int(rng.integers(len(parent)))
        parent[key], parent[other] = parent[other], parent[key]
    else:
        others = list(parent)
        other = others[rng.integers(len(others))]
        parent[key], parent[other] = parent[other], parent[key]
    return document


def change_json_text(rng: Rng, content: bytes) -> bytes:
    """Return a JSON file with one value changed, or bytes changed where it is none."""
    return dumps(change_json(rng, json.loads(content))).encode()


def reseal(rng: Rng, content: bytes) -> bytes:
    """Return a file of ganaug with a changed description or tensor and a sha256 that is right again."""
    import torch
    from safetensors.torch import load, save

    from ganaug.training.checkpoint import sha256_of

    (length,) = struct.unpack("<Q", content[:8])
    tensors = load(content)
    about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["ganaug"])
    if rng.random() < 0.8:
        about = change_json(rng, about)
    else:
        name = sorted(tensors)[rng.integers(len(tensors))]
        value = tensors.pop(name)
        changed = (
            None,
            value.flatten(),
            value.double(),
            value[None],
            torch.full_like(value, -1),
            torch.full_like(value, float("nan")) if value.is_floating_point() else value + 10**9,
            torch.empty(0),
        )[rng.integers(7)]
        if changed is not None:
            tensors[name if rng.random() < 0.8 else f"{name}.x"] = changed.contiguous()
    text = dumps(about)
    return save(tensors, metadata={"ganaug": text, "sha256": sha256_of(tensors, text)})
