"""The report of an audit: one HTML file that holds everything it shows, and asks for nothing else."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganaug.auditing.measures import REAL, SPACES
from ganaug.experiment.report import require_file, write_page
from ganaug.experiment.showcase import data_uri

if TYPE_CHECKING:
    import pandas as pd

    from ganaug.auditing.result import Audit

__all__ = ["write_report"]

SHARES = ("recognised", "accuracy")
MEASURES = ("precision", "recall", "density", "coverage", "spread_ratio", "kernel_distance")


def write_report(result: "Audit", path: str | Path) -> Path:
    """Write an audit as one HTML file; a file that is there already is replaced at once, or not at all."""
    path = Path(path)
    require_file(path)
    write_page(render(result), path)
    return path


def render(result: "Audit") -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined

    environment = Environment(
        loader=PrefixLoader({name: PackageLoader(f"ganaug.{name}") for name in ("auditing", "experiment")}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    table, pairs = result.table, result.pairs
    spaces = {space: [f"{measure}/{space}" for measure in MEASURES] for space in SPACES}
    image = not pairs.columns and len(pairs.class_index) > 0
    return environment.get_template("auditing/audit.html").render(
        result=result,
        classes=_beside(table, ["verdict", "n_train", "n_holdout", "n_generated"], SHARES),
        spaces={space: _beside(table, [], names, f"/{space}") for space, names in spaces.items()},
        novelty=_beside(
            result.novelty,
            [],
            ("identical", "near_duplicates", "authenticity"),
            more=("nearer_to_training", "expected", "copied", "C_T", "p_holm"),
        ),
        picture=_picture(result) if image else None,
        rows=[
            (table.index[k], _text(ratio), pairs.generated[i], pairs.nearest[i])
            for i, (k, ratio) in enumerate(zip(pairs.class_index, pairs.ratio, strict=True))
            if pairs.columns
        ],
    )


def _beside(
    frame: "pd.DataFrame", plain: list[str], measures: Any, ending: str = "", more: Any = ()
) -> dict[str, Any]:
    """Return header and rows of text: each measure with that of real samples in brackets."""
    names = [*plain, *measures, *more]
    header = ["class", *(name.removesuffix(ending).replace("_", " ") for name in names)]
    rows = []
    for label, row in frame.iterrows():
        cells = [_text(row.get(name)) for name in names]
        real = [_text(row.get(name + REAL)) if name in measures else "" for name in names]
        rows.append([str(label), *(f"{c} ({r})" if r else c for c, r in zip(cells, real, strict=True))])
    return {"header": header, "rows": rows}


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:z.3g}" if abs(value) >= 100 else f"{value:z.2f}"
    return "–" if value is None else str(value)


def _picture(result: "Audit") -> str:
    file = io.BytesIO()
    result.picture().save(file, format="PNG")
    return data_uri(file.getvalue())
