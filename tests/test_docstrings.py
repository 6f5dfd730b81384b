"""Public docstrings are numpydoc, and describe the signature that is there."""

import inspect
from dataclasses import is_dataclass
from importlib import import_module

import pytest
from numpydoc.validate import validate

import ganaug

CHECKED = {
    "GL01": "text starts on the first line",
    "GL03": "no double blank lines",
    "GL06": "no unknown section",
    "GL07": "sections in order",
    "GL08": "a docstring at all",
    "SS01": "a summary",
    "SS03": "that ends with a full stop",
    "SS05": "in the imperative",
    "PR01": "each parameter is described",
    "PR02": "no other parameter is",
    "PR03": "in their order",
    "PR07": "with a text",
    "PR10": "written 'name : type'",
    "RT01": "a Returns section",
}
"""Codes of numpydoc.validate that must not occur."""

ROOTS = [
    n for n in ganaug.__all__ if inspect.isclass(getattr(ganaug, n)) or inspect.isroutine(getattr(ganaug, n))
]
MORE = [
    "ganaug.adversarial.diffaugment.diff_augment",
    "ganaug.adversarial.matching.Correlations",
    "ganaug.adversarial.matching.Moments",
    "ganaug.albumentations.SyntheticSwap",
    "ganaug.data.sources.open_data",
    "ganaug.data.tables.TableCodec",
    "ganaug.experiment.arms.Arm",
    "ganaug.experiment.preprocessing.TableFrame",
    "ganaug.mlflow.autolog",
    "ganaug.networks.mlp.mlp",
    "ganaug.networks.residual_mlp.residual_mlp",
    "ganaug.networks.resnet.resnet",
    "ganaug.networks.rows.RowHead",
]


def own_methods(cls: type) -> list[str]:
    names = [n for n, v in vars(cls).items() if not n.startswith("_") and inspect.isroutine(v)]
    return [f"{cls.__module__}.{cls.__qualname__}.{n}" for n in names]


def documented() -> list[str]:
    found = list(MORE)
    for name in ROOTS:
        value = getattr(ganaug, name)
        found.append(f"{value.__module__}.{name}")
        if inspect.isclass(value) and not issubclass(value, Exception):
            found += own_methods(value)
    return sorted(found)


def complaints(path: str) -> list[str]:
    return [f"{code}: {text}" for code, text in validate(path)["errors"] if code in CHECKED]


def resolve(path: str) -> object:
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value: object = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            value = getattr(value, name)
        return value
    raise LookupError(path)


def undescribed(path: str, found: list[str]) -> list[str]:
    """Leave out what is by design: one-sentence methods and the fields of dataclasses."""
    value = resolve(path)
    doc = inspect.getdoc(value) or ""
    one_sentence = inspect.isroutine(value) and "\n" not in doc.strip()
    fields = is_dataclass(value)  # described beside each field
    skipped = ("PR01", "RT01", "SS05") if one_sentence or fields else ()
    nouns = ("SS05",) if inspect.isclass(value) else ()
    return [f for f in found if not f.startswith((*skipped, *nouns))]


@pytest.mark.parametrize("path", documented())
def test_a_public_docstring_matches_its_signature(path: str) -> None:
    assert undescribed(path, complaints(path)) == []


@pytest.mark.parametrize("name", [n for n in ROOTS if not n.endswith("Error")])
def test_a_public_name_shows_an_example(name: str) -> None:
    assert ">>> " in inspect.getdoc(getattr(ganaug, name))


def documented_wrongly(a: int, b: int) -> int:
    """Add two numbers.

    Parameters
    ----------
    a : int
        First.
    c : int
        Not there.
    """
    return a + b


def test_the_check_finds_a_wrong_docstring() -> None:
    found = complaints(f"{__name__}.documented_wrongly")
    assert {f[:4] for f in found} == {"PR01", "PR02", "RT01"}
