"""A name in MLflow's model registry, with an alias: "pets@champion"."""

import io
import re
from contextlib import redirect_stderr
from dataclasses import dataclass

from ganaug.errors import ConfigError
from ganaug.experiment.mlflow_run import reached

__all__ = ["Registration"]


@dataclass(frozen=True)
class Registration:
    """Where a model is registered: as the next version of a name, which takes the alias if there is one."""

    name: str
    alias: str = ""

    @classmethod
    def checked(cls, text: str) -> "Registration":
        """Return what NAME or NAME@ALIAS stands for, after asking the registry whether that can be.

        Raises
        ------
        ConfigError
            If MLflow allows no such name or alias, or the store has no registry.
        OSError
            If the server does not answer.
        """
        from mlflow.exceptions import MlflowException

        name, at, alias = text.partition("@")
        if at and (not re.fullmatch(r"[\w-]{1,255}", alias) or re.fullmatch(r"latest|v\d+", alias.lower())):
            raise ConfigError(
                f"the alias in {text!r} must be letters, digits, _ or -, and neither 'latest' nor a version; "
                f"got {alias!r}. Name a model like pets@champion."
            )
        with reached() as mlflow:
            try:
                mlflow.MlflowClient().get_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise ConfigError(
                        f"a generator cannot be registered as {name!r} at {mlflow.get_registry_uri()}: "
                        f"{' '.join(str(error).split())} Name a model like pets@champion."
                    ) from error
        return cls(name, alias)

    def __str__(self) -> str:
        return f"{self.name}@{self.alias}" if self.alias else self.name

    def register(self, model_uri: str) -> str:
        """Register a logged model, and return the URI of its version."""
        import mlflow

        with redirect_stderr(io.StringIO()):  # where MLflow says in two lines what it did
            made = mlflow.register_model(model_uri, self.name)
        if self.alias:
            mlflow.MlflowClient().set_registered_model_alias(self.name, self.alias, made.version)
        return f"models:/{self.name}/{made.version}"
