"""The averages of G worth keeping: for each class the one whose samples came nearest to real ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

MAX_KEPT = 8


class Snapshots:
    """Copies of the averaged G at a few moments, and which of them serves each class.

    A copy stays as long as it is the best one of a class; of more than `MAX_KEPT` the one that
    serves the fewest classes goes, and its classes move to the newest.
    """

    def __init__(self) -> None:
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.distance = torch.empty(0)
        self.choice = torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return len(self.weights)

    def offer(self, images_seen: int, G_ema: nn.Module, distance: Tensor) -> None:
        """Keep G_ema where its kernel distance (n_classes,) is the smallest so far."""
        distance = distance.detach().float().cpu().nan_to_num(nan=float("inf"))
        if not len(self.distance):
            self.distance = torch.full_like(distance, float("inf"))
            self.choice = torch.full(distance.shape, images_seen)
        better = (distance < self.distance) | (self.choice == images_seen)
        if not better.any():
            return
        self.distance = torch.where(better, distance, self.distance)
        self.choice = torch.where(better, images_seen, self.choice)
        self.weights[images_seen] = {k: v.detach().cpu().clone() for k, v in G_ema.state_dict().items()}
        self._drop_unused()
        while len(self.weights) > MAX_KEPT:
            moments = sorted(self.weights, key=lambda m: (int((self.choice == m).sum()), m))
            poorest = moments[0] if moments[0] != images_seen else moments[1]
            moved = self.choice == poorest
            self.choice[moved] = images_seen
            self.distance[moved] = distance[moved]
            self._drop_unused()

    def _drop_unused(self) -> None:
        used = set(self.choice.tolist())
        self.weights = {m: w for m, w in self.weights.items() if m in used}

    def tensors(self) -> dict[str, Tensor]:
        """Return everything as tensors with plain names."""
        if not self.weights:
            return {}
        flat = {f"{m}.{key}": value for m, w in self.weights.items() for key, value in w.items()}
        return {"distance": self.distance, "choice": self.choice, **flat}

    @classmethod
    def from_tensors(cls, flat: Mapping[str, Tensor]) -> "Snapshots":
        """Return what `tensors` described."""
        found = cls()
        for name, value in flat.items():
            moment, _, key = name.partition(".")
            if key:
                found.weights.setdefault(int(moment), {})[key] = value.cpu()
            elif name in ("distance", "choice"):
                setattr(found, name, value.cpu())
            else:
                raise ValueError(f"snapshots have no {name!r}")
        return found

    def require(self, n_classes: int) -> None:
        """Raise ValueError unless each class has a snapshot, where there are any."""
        whole = self.choice.shape == self.distance.shape == (n_classes,)
        if self.weights and not (whole and set(self.choice.tolist()) == self.weights.keys()):
            raise ValueError(f"snapshots do not serve {n_classes} classes")
