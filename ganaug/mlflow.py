"""MLflow's automatic record, as its own flavours have one: `ganaug.mlflow.autolog()`."""

from ganaug.experiment.fit_tracking import FitTracker
from ganaug.training.observers import OBSERVERS

__all__ = ["autolog"]


def autolog(*, log_models: bool = True, disable: bool = False) -> None:
    """Record each training of a GAN in MLflow from now on, in this process.

    That is each ``ConditionalGAN.fit``, also within `GANOverSampler`, `SyntheticSwap` and
    `AugmentedClassifier`: its settings, the data as an input, its figures by images seen, health, a grid of
    samples at each interval, curves, and the generator as a model. A training below an active run is a
    nested run of its own, else a run of the current experiment. Where MLflow cannot be written to, a
    warning says so and the training goes on.

    Parameters
    ----------
    log_models : bool, default=True
        Whether generators are logged as models, which takes a few seconds each. Leave it off in a search
        that trains many: it makes a run for each of them.
    disable : bool, default=False
        Record no more.

    Notes
    -----
    The workers of a search with ``n_jobs`` are processes of their own, which record nothing unless they call
    `autolog` too. `ganaug.compare` records itself, as its `tracking` says, and no training of its own.

    Examples
    --------
    >>> import ganaug.mlflow
    >>> ganaug.mlflow.autolog(log_models=False)
    >>> ganaug.mlflow.autolog(disable=True)
    """
    OBSERVERS.pop("mlflow", None)
    if not disable:
        OBSERVERS["mlflow"] = FitTracker(log_models=log_models)
