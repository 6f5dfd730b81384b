"""The report of a comparison: one HTML file that holds everything it shows, and asks for nothing else."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganaug.errors import OutputExistsError
from ganaug.experiment import report_sections as sections
from ganaug.experiment.showcase import Showcase, data_uri

if TYPE_CHECKING:
    from jinja2 import Template

    from ganaug.experiment.comparison import Comparison

__all__ = ["write_page", "write_report"]

MEANINGS = {
    "helps": (
        "The interval lies above 0: on these data and with this classifier, the synthetic samples did better "
        "than every control, by more than {luck} explains. About one such interval in "
        "twenty misses the true gain."
    ),
    "no evidence": (
        "The interval holds 0: these runs cannot tell a gain from none. That does not show that there is "
        "none; every gain within the interval agrees with what was seen, and more seeds make it narrower."
    ),
    "hurts": (
        "The interval lies below 0: on these data and with this classifier, the synthetic samples did worse "
        "than the best control, by more than {luck} explains."
    ),
}
SIGNS = {"helps": "▲", "no evidence": "●", "hurts": "▼"}


def write_report(result: "Comparison", path: str | Path) -> Path:
    """Write a comparison as one HTML file; a file that is there already is replaced at once, or not at all.

    Parameters
    ----------
    result : Comparison
        What `compare` returned.
    path : str or Path
        The file.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputExistsError
        If `path` is a folder.

    Examples
    --------
    >>> write_report(None, ".")
    Traceback (most recent call last):
    ganaug.errors.OutputExistsError: . must be a file to write the report to; got a folder. Add a file name.
    """
    path = Path(path)
    require_file(path)
    write_page(render(result), path)
    return path


def require_file(path: Path) -> None:
    """Raise if a report cannot be written to a path, as it is a folder."""
    if path.is_dir():
        raise OutputExistsError(
            f"{path} must be a file to write the report to; got a folder. Add a file name."
        )


def write_page(text: str, path: Path) -> None:
    """Write a page; a file that is there already is replaced at once, or not at all."""
    page = text.encode("utf-8", errors="replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(page)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def template(name: str) -> "Template":
    """Return a template of a page; what it shows is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ganaug.experiment"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def render(result: "Comparison") -> str:
    """Return the page."""
    specimens, sample_grid = result.specimens, result.sample_grid
    word, _, rest = result.sentence.partition(": ")
    with_role = {
        role: [arm for arm, own in result.roles.items() if own == role]
        for role in ("control", "treatment", "oracle")
    }
    return template("report.html").render(
        result=result,
        word=word,
        rest=rest,
        sign=SIGNS[result.verdict],
        meaning=MEANINGS[result.verdict].format(luck=_luck(result)),
        metric=result.metric.replace("_", " "),
        settings=dict(flat(result.settings)),
        n_seeds=len({c.seed for c in result.cells}),
        with_role=with_role,
        forests=sections.forests(result),
        learning_curve=sections.learning_curve(result),
        treatments=sections.treatments(result),
        arms=sections.arms(result),
        per_class=sections.per_class(result),
        confusion=sections.confusion(result),
        calibration=sections.calibration(result),
        specimens=None if specimens is None else Showcase.of(specimens, result.class_names),
        sample_grid=None if sample_grid is None else data_uri(sample_grid),
        doses=sections.doses(result),
        seeds=sections.seeds(result),
    )


def _luck(result: "Comparison") -> str:
    """Return what the interval allows for."""
    if not result.given_test:
        return "luck in splits and training"
    training = "" if result.one_training_set else "training samples, "
    return f"luck in {training}test samples and training"


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings by dotted name, as text."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)
