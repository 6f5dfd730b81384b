"""The exceptions a caller may want to catch.

::

    GanaugError
    ├── DataError (also ValueError)         the data cannot be used as given
    ├── ConfigError (also ValueError)       a name or a number is outside what is allowed
    ├── OutputExistsError (also FileExistsError)   an output folder holds something already
    ├── CheckpointError                     a saved run cannot be read
    └── TrainingDivergedError               a loss stopped being a finite number
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "GanaugError",
    "OutputExistsError",
    "TrainingDivergedError",
]


class GanaugError(Exception):
    """Base of everything ganaug raises on purpose."""


class DataError(GanaugError, ValueError):
    """The data cannot be used as given: labels, shapes, values or files."""


class ConfigError(GanaugError, ValueError):
    """A name is unknown or a number is outside its range."""


class OutputExistsError(GanaugError, FileExistsError):
    """An output folder is not empty, and nothing was written to it."""


class CheckpointError(GanaugError):
    """A saved run is missing a file, damaged, or of another format."""


class TrainingDivergedError(GanaugError):
    """A loss became NaN or infinite; the last checkpoint is untouched."""
