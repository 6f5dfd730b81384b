"""The model card of a run: what a generator learned from, how, and what it makes, as one HTML file."""

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganaug.data.schema import Schema
from ganaug.data.tables import TableCodec
from ganaug.errors import CheckpointError
from ganaug.experiment.report import flat, template, write_page
from ganaug.experiment.report_sections import Table
from ganaug.experiment.showcase import data_uri
from ganaug.generator import ConditionalGAN, load
from ganaug.training.checkpoint import load_tensors, read_about
from ganaug.training.curves import draw_curves
from ganaug.training.run import CHECKPOINTS
from ganaug.training.saved import GENERATOR

__all__ = ["ModelCard"]

N_ROWS = 3
N_COLUMNS = 12
FIGURES = {"distance": "kernel distance to the real samples", "spread": "least spread of a class, real: 1"}


@dataclass(frozen=True)
class ModelCard:
    """What is known of a generator without the data it was trained on."""

    run: Path
    schema: Schema
    classes: dict[str, int | None]  # real samples by name, None where that was not written down
    config: dict[str, Any]
    seed: int
    history: list[dict[str, Any]]
    versions: dict[str, str]
    options: str = ""  # of the command line that made it
    note: str = ""  # why there are no samples
    grid: bytes | None = None  # PNG
    rows: Table | None = None

    @classmethod
    def of(cls, run: str | Path) -> "ModelCard":
        """Return the card of a folder that `ganaug fit` or `ConditionalGAN.save` wrote.

        Parameters
        ----------
        run : str or Path
            The folder.

        Returns
        -------
        ModelCard

        Raises
        ------
        CheckpointError
            If there is no generator, or it is damaged.
        """
        run = Path(run)
        gan, note = None, ""
        if not (run / GENERATOR).is_file():
            load(run)  # says what is there instead
        try:
            gan = load(run, device="cpu")
        except CheckpointError as error:
            if "own network" not in str(error) and "own conditioning" not in str(error):
                raise
            note = "It was fitted with a network of the caller's own, which a card cannot build."
        _, about = load_tensors(run / GENERATOR)
        schema = Schema.from_dict(about["schema"])
        config = run / "run.yaml"
        card = cls(
            run=run,
            schema=schema,
            classes=dict(zip(schema.names, _counts(run, len(schema.labels)), strict=True)),
            config=about["config"],
            seed=about["seed"],
            history=about["history"],
            versions=about["versions"],
            options=config.read_text("utf-8", errors="replace") if config.is_file() else "",
            note=note,
        )
        if gan is None:
            return card
        if schema.kind == "image":
            picture = io.BytesIO()
            gan.sample_grid().save(picture, "PNG")
            return replace(card, grid=picture.getvalue())
        return replace(card, rows=_rows(gan))

    @property
    def last(self) -> dict[str, Any]:
        """The figures of the end of the training."""
        return self.history[-1] if self.history else {}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "run": str(self.run),
            "kind": self.schema.kind,
            "shape": list(self.schema.codec.shape),
            "classes": self.classes,
            "gan": self.config,
            "seed": self.seed,
            "history": self.history,
            "versions": self.versions,
        }

    def __str__(self) -> str:
        """Return the card in a few lines."""
        known = {k: n for k, n in self.classes.items() if n is not None}
        sizes = ", ".join(f"{name} {known.get(name, '?')}" for name in self.classes)
        figures = ", ".join(f"{words} {self.last[k]:.3g}" for k, words in FIGURES.items() if k in self.last)
        return "\n".join(
            [
                f"{self.run}: a generator of {_what(self.schema)} of {len(self.classes)} classes: {sizes}.",
                f"Trained on {self.last.get('images_seen', 0):,} samples shown; {figures}; "
                f"health: {self.last.get('health', 'unknown')}.",
                ", ".join(f"{k} {v}" for k, v in self.versions.items()) + f"; seed {self.seed}.",
            ]
        )

    def write(self, path: Path) -> Path:
        """Write the card as one HTML file that needs no other."""
        curves = io.BytesIO()
        draw_curves(self.history, curves)
        sick = [line for line in self.history if line.get("health", "good") != "good"]
        page = template("card.html").render(
            card=self,
            what=_what(self.schema),
            last=self.last,
            figures={words: f"{self.last[k]:.3g}" for k, words in FIGURES.items() if k in self.last},
            sick=Table(
                ["samples shown", "health"], [[f"{h['images_seen']:,}", str(h["health"])] for h in sick]
            ),
            classes=Table(
                ["class", "real samples"],
                [[name, "not known" if n is None else f"{n:,}"] for name, n in self.classes.items()],
            ),
            settings=Table(
                ["setting", "value"],
                [[k, v] for k, v in flat({"seed": self.seed, "gan": self.config, "versions": self.versions})],
            ),
            curves=data_uri(curves.getvalue()),
            grid=None if self.grid is None else data_uri(self.grid),
        )
        write_page(page, path)
        return path


def _what(schema: Schema) -> str:
    if isinstance(schema.codec, TableCodec):
        return f"rows of {len(schema.codec.parts)} columns"
    channels, height, width = schema.codec.shape
    return f"{'grey' if channels == 1 else 'colour'} images of {width} x {height} pixels"


def _counts(run: Path, n: int) -> list[int | None]:
    """Return the number of real samples by class, from the newest checkpoint that can be read."""
    for path in sorted((run / CHECKPOINTS).glob("*.safetensors"), reverse=True):
        try:
            counts = read_about(path).get("counts")
        except CheckpointError:
            continue
        if isinstance(counts, list) and len(counts) == n:
            return [int(k) for k in counts]
    return [None] * n


def _rows(gan: ConditionalGAN) -> Table:
    """Return a few generated rows of each class."""
    X, y = gan.generate(N_ROWS, random_state=0)
    names = list(X.columns) if hasattr(X, "columns") else list(range(X.shape[1]))
    rows = X.to_numpy(dtype=object) if hasattr(X, "columns") else X
    text = [[_text(v) for v in row[:N_COLUMNS]] for row in rows.tolist()]
    classes = [str(label) for label in (y.tolist() if hasattr(y, "tolist") else y)]
    header = ["class", *(str(name) for name in names[:N_COLUMNS])]
    return Table(header, [[c, *row] for c, row in zip(classes, text, strict=True)])


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
