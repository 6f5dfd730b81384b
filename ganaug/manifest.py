"""The manifest of exported samples: what they are, where they come from, and the sha256 of each file."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ganaug._checks import listed, read_json, reading
from ganaug.data.plain_values import frame, of_frame, of_pictures, of_texts, pictures
from ganaug.data.schema import Schema
from ganaug.errors import CheckpointError
from ganaug.formats.contents import Array, Contents, Rows, distinct_texts

MANIFEST, UNFINISHED = "manifest.json", ".unfinished"
FORMAT = 3
READABLE = (1, 2, 3)
"""Numbers of the format of manifests; 1 and 2 are of banks only."""


def contents_of(schema: Schema, shape: tuple[int, ...], dtype: np.dtype[Any], counts: list[int]) -> Contents:
    """Return what a file format must know of samples of a schema."""
    columns: list[str] = []
    target, example = "label", None
    if schema.kind == "table":
        own = getattr(schema.codec, "columns", None) or [f"x{i}" for i in range(shape[1])]
        label = "target" if schema.y_name in (None, "") else schema.y_name
        *columns, target = distinct_texts([*own, label])
        example = frame(schema, np.zeros((1, shape[1]), dtype), np.zeros(1, np.int64), [*columns, target])
    labels = schema.labels
    about = {
        "format": FORMAT,
        "synthetic": True,
        "ganaug": version("ganaug"),
        "counts": by_label(schema, counts),
        "samples": {"shape": list(shape), "dtype": dtype.newbyteorder("<").str},
        "schema": schema.to_dict(),
    }
    return Contents(
        kind=schema.kind,
        names=schema.names,
        labels=np.array(labels.tolist()) if labels.dtype.hasobject else labels,
        counts=tuple(counts),
        shape=tuple(shape),
        dtype=dtype,
        columns=tuple(columns),
        target=target,
        frame=example,
        card=json.dumps(about),
    )


def manifest_of(
    schema: Schema, contents: Contents, order: dict[str, Any], sums: dict[str, str]
) -> dict[str, Any]:
    """Return the manifest as plain values; it knows no path and no time."""
    return {**json.loads(contents.card), "layout": order["layout"], "order": order, "sha256": sums}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a folder; CheckpointError where there is none that this version reads."""
    file = folder / MANIFEST
    if not file.exists():
        if (folder / UNFINISHED).exists():
            raise CheckpointError(
                f"{folder} is not finished. Go on with resume=True (ganaug generate --resume)."
            )
        raise CheckpointError(f"{folder} is not a bank that ganaug saved: it has no {MANIFEST}.")
    with reading(folder, "a bank"):
        manifest: dict[str, Any] = dict(read_json(file))
        found = manifest["format"]
    if found not in READABLE:
        raise CheckpointError(
            f"{folder} has format {found!r}; this version reads formats {listed(READABLE)}. "
            "Open it with the version of ganaug that wrote it, or generate again."
        )
    return manifest


def rows_for(takes: str, schema: Schema, contents: Contents, rows: Rows) -> Rows:
    """Return samples of a bank as a format takes them."""
    codec: Any = schema.codec
    names = [*contents.columns, contents.target]
    for X, c in rows:
        if takes == "pictures":
            yield pictures(codec, X), c
        else:
            yield (frame(schema, X, c, names) if takes == "frames" else X), c


def bank_rows(layout: str, schema: Schema, rows: Iterator[tuple[Any, Any]]) -> Rows:
    """Return samples as a bank holds them, and class indices, out of what a format reads."""
    codec: Any = schema.codec
    of_text = {str(label): c for c, label in enumerate(schema.labels.tolist())}
    for X, y in rows:
        if layout == "csv":
            yield of_texts(schema, X), np.array([of_text[text] for text in y], np.int64)
        elif schema.kind == "table" and layout == "parquet":
            yield of_frame(schema, X), np.array([of_text[str(v)] for v in y.tolist()], np.int64)
        else:
            c = np.asarray(y)
            if c.dtype.kind not in "iu" or (len(c) and not 0 <= c.min() <= c.max() < len(of_text)):
                raise ValueError("its class indices are not those of the manifest")
            yield (X if layout == "npz" else of_pictures(codec, X)), c.astype(np.int64)


def by_label(schema: Schema, counts: list[int] | Array) -> dict[str, int]:
    """Return numbers of samples by the text of their label."""
    return dict(zip(map(str, schema.labels.tolist()), [int(n) for n in counts], strict=True))
