"""Synthetic data that has to prove itself.

Learn a generator per class from your labelled data, mix what it generates into your classifier's
training, and see with paired runs and a confidence interval whether it helped.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganaug.auditing.audit import audit as audit
    from ganaug.bank import SampleBank as SampleBank
    from ganaug.config import GANConfig as GANConfig
    from ganaug.errors import CheckpointError as CheckpointError
    from ganaug.errors import ConfigError as ConfigError
    from ganaug.errors import DataError as DataError
    from ganaug.errors import GanaugError as GanaugError
    from ganaug.errors import OutputExistsError as OutputExistsError
    from ganaug.errors import TrainingDivergedError as TrainingDivergedError
    from ganaug.experiment.comparison import Comparison as Comparison
    from ganaug.experiment.paired import compare as compare
    from ganaug.generator import ConditionalGAN as ConditionalGAN
    from ganaug.generator import load as load
    from ganaug.mixing.classifier import AugmentedClassifier as AugmentedClassifier
    from ganaug.mixing.complement import ComplementGenerator as ComplementGenerator
    from ganaug.mixing.dataset import AugmentedDataset as AugmentedDataset
    from ganaug.mixing.oversampler import GANOverSampler as GANOverSampler
    from ganaug.mixing.swap import SyntheticSwap as SyntheticSwap

__version__ = "0.1.0"

_HOMES = {
    "AugmentedClassifier": "mixing.classifier",
    "AugmentedDataset": "mixing.dataset",
    "CheckpointError": "errors",
    "Comparison": "experiment.comparison",
    "ComplementGenerator": "mixing.complement",
    "ConditionalGAN": "generator",
    "ConfigError": "errors",
    "DataError": "errors",
    "GANConfig": "config",
    "GANOverSampler": "mixing.oversampler",
    "GanaugError": "errors",
    "OutputExistsError": "errors",
    "SampleBank": "bank",
    "SyntheticSwap": "mixing.swap",
    "TrainingDivergedError": "errors",
    "audit": "auditing.audit",
    "compare": "experiment.paired",
    "load": "generator",
}

__all__ = [
    "__version__",
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
    "audit",
    "compare",
    "load",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import ganaug` itself stays light."""
    if name in _HOMES:
        value = getattr(import_module(f"ganaug.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'ganaug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
