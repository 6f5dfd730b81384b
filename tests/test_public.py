"""The names at the top are exactly the promised ones."""

import pytest

import ganaug

PROMISED = [
    "AugmentedClassifier",
    "AugmentedDataset",
    "CheckpointError",
    "Comparison",
    "ComplementGenerator",
    "ConditionalGAN",
    "ConfigError",
    "DataError",
    "GANConfig",
    "GANOverSampler",
    "GanaugError",
    "OutputExistsError",
    "SampleBank",
    "SyntheticSwap",
    "TrainingDivergedError",
    "__version__",
    "audit",
    "compare",
    "load",
]


def test_the_public_names_are_the_promised_ones() -> None:
    assert sorted(ganaug.__all__) == PROMISED
    assert dir(ganaug) == PROMISED


@pytest.mark.parametrize("name", [n for n in PROMISED if n != "__version__"])
def test_a_public_name_is_the_object_of_that_name(name: str) -> None:
    value = getattr(ganaug, name)
    assert value.__name__ == name
    assert value.__module__.startswith("ganaug.")
    assert value.__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ConditionalGun'"):
        ganaug.ConditionalGun  # noqa: B018


def test_every_error_can_be_caught_as_ganaug_error_and_as_its_builtin_kind() -> None:
    errors = [n for n in PROMISED if n.endswith("Error")]
    assert all(issubclass(getattr(ganaug, n), ganaug.GanaugError) for n in errors)
    assert issubclass(ganaug.DataError, ValueError)
    assert issubclass(ganaug.ConfigError, ValueError)
    assert issubclass(ganaug.OutputExistsError, FileExistsError)
