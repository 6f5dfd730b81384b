"""Plain files out of samples: an image folder, or one CSV file; read and written piece by piece."""

import re
from pathlib import Path

import numpy as np

from ganaug.data.images import ImageCodec
from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.shards import Rows, Shards, pieces


def write_plain_files(folder: Path, samples: Rows | Shards, class_indices: Rows, schema: Schema) -> None:
    """Write ``class/00000.png`` per image, or one ``samples.csv`` for a table."""
    if isinstance(schema.codec, TableCodec):
        _write_table(folder / "samples.csv", samples, class_indices, schema, schema.codec)
    else:
        _write_images(folder, samples, class_indices, schema.names, schema.codec)


def _write_images(
    folder: Path, samples: Rows | Shards, class_indices: Rows, names: tuple[str, ...], codec: ImageCodec
) -> None:
    from PIL import Image

    folders = [folder / name for name in _folder_names(names)]
    for of_class in folders:
        of_class.mkdir()
    written = np.zeros(len(names), np.int64)
    for piece in pieces(samples):
        pixels = codec.encode(samples[piece]).float().add(1).mul(127.5).round().clamp(0, 255).byte()
        images = pixels.permute(0, 2, 3, 1).numpy()
        for image, c in zip(images, class_indices[piece].tolist(), strict=True):
            shown = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image)
            shown.save(folders[c] / f"{written[c]:05d}.png")
            written[c] += 1


def _write_table(
    file: Path, samples: Rows | Shards, class_indices: Rows, schema: Schema, codec: TableCodec
) -> None:
    import pandas as pd

    columns = codec.columns or tuple(f"x{i}" for i in range(len(codec.parts)))
    target = "target" if schema.y_name in (None, "") else str(schema.y_name)
    while target in map(str, columns):
        target += "_"
    with open(file, "w", encoding="utf-8", newline="") as opened:
        pd.DataFrame(columns=pd.Index([*columns, target])).to_csv(opened, index=False)
        for piece in pieces(samples):
            if codec.numeric:
                frame = pd.DataFrame(samples[piece], columns=pd.Index(columns))
                frame = frame.astype(dict(zip(columns, codec.dtypes, strict=True)))
            else:
                frame = pd.DataFrame(codec.from_numbers(samples[piece]))
            frame[target] = schema.labels[class_indices[piece]]
            frame.to_csv(opened, index=False, header=False)


def _folder_names(names: tuple[str, ...]) -> list[str]:
    """Return one safe, distinct folder name per class."""
    safe = [re.sub(r"[^\w\- ]+", "_", name).strip() or "_" for name in names]
    distinct = len({s.lower() for s in safe}) == len(safe)
    return safe if distinct else [f"{i}-{s}" for i, s in enumerate(safe)]
