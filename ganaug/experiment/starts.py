"""First weights of the classifiers of a seed: the same in every arm."""

import hashlib
from typing import Any

from torch import nn

from ganaug.errors import ConfigError


def same_start(before: str, now: str) -> str:
    """Return the fingerprint of a module's first weights; raise where another module had others."""
    if before not in ("", now):
        raise ConfigError(
            "classifier must build modules with weights of the same seed for every arm; one of them "
            "started from other weights. Draw them from torch's global generator, and build "
            "a new module at each call."
        )
    return now


def weights_digest(model: Any) -> str:
    """Return a fingerprint of a module's weights; an estimator has none before its fit."""
    if not isinstance(model, nn.Module):
        return "estimator"
    content = hashlib.sha256()
    for value in model.state_dict().values():
        content.update(value.numpy().tobytes())
    return content.hexdigest()
