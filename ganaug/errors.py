"""The exceptions a caller may want to catch.

::

    GanaugError
    ├── DataError (also ValueError)         the data cannot be used as given
    ├── ConfigError (also ValueError)       a name or a number is outside what is allowed
    ├── OutputExistsError (also FileExistsError)   an output folder holds something already
    ├── CheckpointError                     a saved run cannot be read
    └── TrainingDivergedError               training went wrong again after each step back

    TrainingInterrupted (a KeyboardInterrupt)   SIGINT or SIGTERM; the run can be resumed
    GanaugWarning (a UserWarning)               something a user should look at: a leak, a damaged file
"""

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DataError",
    "GanaugError",
    "GanaugWarning",
    "OutputExistsError",
    "TrainingDivergedError",
    "TrainingInterrupted",
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
    """Training went wrong again after each step back to a sound state.

    Parameters
    ----------
    message : str
        What went wrong.
    images_kept : int or None, default=None
        Images seen by the last sound state, which was kept; None if there was none.
    """

    def __init__(self, message: str, *, images_kept: int | None = None):
        super().__init__(message)
        self.images_kept = images_kept


class TrainingInterrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM came; the step was finished and the checkpoint written, so that it can resume."""


class GanaugWarning(UserWarning):
    """Something that a user should look at: an augmentation that leaked, a file that was damaged."""
