"""Files of a run: safetensors with JSON and a sha256 in the header, written atomically, never pickle."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ganaug._checks import listed, reading, writing
from ganaug.errors import CheckpointError

VARIANCES = ("running_var", "exp_avg_sq")
FORMAT = 2
"""Number of the file format; a file of another number is refused."""


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write tensors and a JSON description to one file; a reader sees the old file or the new one."""
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    text = json.dumps({"format": FORMAT, **about})
    header = {"ganaug": text, "sha256": sha256_of(plain, text)}
    with writing(path, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            save_file(plain, temporary, metadata=header)
            os.chmod(temporary, 0o644)
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def read_about(path: Path) -> dict[str, Any]:
    """Return the description that `save_tensors` wrote, without the tensors, and unchecked."""
    try:
        with safe_open(path, framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["ganaug"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a file that ganaug saved, or is damaged: {error}.") from error
    return about


def load_tensors(path: Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the description that `save_tensors` wrote."""
    if not path.is_file():
        raise CheckpointError(f"{path} must be a file that ganaug saved; there is no such file.")
    try:
        with reading(path, "a file"), safe_open(path, framework="pt", device=device) as file:
            header = file.metadata() or {}
            about = json.loads(header["ganaug"])
            number = about.get("format")
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            sound = header.get("sha256") == sha256_of(tensors, header["ganaug"])
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a file that ganaug saved, or is damaged: {error}.") from error
    if number != FORMAT:
        raise CheckpointError(
            f"{path} has format {number!r}; this version reads format {FORMAT}. "
            "Open it with the version of ganaug that wrote it, or fit again."
        )
    if not sound:
        raise CheckpointError(f"{path} is damaged: its content does not match its sha256.")
    return tensors, about


def require_finite(tensors: Mapping[str, Tensor], *, origin: Path) -> None:
    """Raise CheckpointError that names tensors with numbers that are not finite, or variances below zero."""

    def broken(name: str, value: Tensor) -> bool:
        numbers = value if value.element_size() > 1 else value.float()  # those of a byte cannot be compared
        squares = name.rpartition(".")[2] in VARIANCES
        return not numbers.isfinite().all() or (squares and bool((numbers < 0).any()))

    found = [name for name, v in tensors.items() if v.is_floating_point() and broken(name, v)]
    if found:
        raise CheckpointError(f"{origin} is damaged: not finite, or below zero: {listed(found, 3)}.")


def sha256_of(tensors: dict[str, Tensor], about: str) -> str:
    """Return the digest of names, types, shapes, values and description (safetensors checks none of it)."""
    digest = hashlib.sha256(about.encode())
    for name in sorted(tensors):
        value = tensors[name].cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
