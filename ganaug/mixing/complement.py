"""ComplementGenerator: what unlabelled samples teach a classifier, by a generator that plays against it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ganaug._checks import finite, known_name, number
from ganaug._random import Seed, as_seed, derive, seeded, torch_stream
from ganaug.adversarial.complement import evidence, feature_distance
from ganaug.adversarial.losses import LOSSES
from ganaug.errors import ConfigError, DataError
from ganaug.networks import NETWORKS

__all__ = ["ComplementGenerator"]

LOSS = LOSSES["non-saturating"]
Z_DIM, WIDTH = 32, {"image": 16, "table": 64}
LEARNING_RATE, BETAS = 1e-3, (0.5, 0.999)

Transform = Callable[[Tensor], Tensor]
Fakes = Callable[[Tensor, torch.Generator], Tensor]


class ComplementGenerator:
    """A generator that plays against a classifier, in which unlabelled samples count as real.

    At each step the classifier learns, beside its labelled batch, that unlabelled samples are of some
    class, and that generated ones are of none; the generator learns to match the classifier's features of
    unlabelled samples. Its samples come to lie between the classes, where no boundary should bend around
    single samples. They are not for training sets: they have no class.

    Parameters
    ----------
    model : Module
        The classifier, from samples to logits (n, n_classes), with a `Linear` layer at its end.
    x : Tensor of shape (n, *shape)
        Unlabelled samples as the model takes them, with values in [-1, 1]; images have channels first.
    fakes : {"generator", "mixes", "none"} or callable, default="generator"
        What counts as no class: samples of the generator, or, to compare with, mixes of unlabelled samples,
        for which nothing is learned, or nothing at all. An image is mixed of two, by their mean; a row of
        as many as it has blocks, each from another one. A function of your own returns fake samples
        (batch_size, *shape) of unlabelled ones and a torch Generator.
    weight : float, default=0.5
        What the losses of the game count beside the caller's own.
    entropy : float, default=0.3
        What the entropy of the classes of unlabelled samples counts: the classifier is to decide on one.
    batch_size : int, default=64
        Unlabelled samples per step, and as many fake ones.
    transform : callable or None, default=None
        Augmentation of a batch of unlabelled samples.
    blocks : tuple of int, default=()
        Widths of the blocks of a table's row, see `ganaug.networks.RowHead`; () is numbers throughout.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the generator, its noise and the order of samples.

    Attributes
    ----------
    G : Module or None
        The generator, G(z, c) with one class.

    Raises
    ------
    ConfigError
        If a number is out of range, or the model does not end in a `Linear` layer.
    DataError
        If `x` is not a float tensor of samples with values in [-1, 1].

    References
    ----------
    Salimans et al., 1606.03498; Dai et al., 1705.09783. Grandvalet and Bengio, NIPS (2004): entropy.

    Examples
    --------
    >>> x, y = torch.rand(8, 4) * 2 - 1, torch.tensor([0, 1] * 4)
    >>> unlabelled = torch.rand(100, 4) * 2 - 1
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    >>> optimiser = torch.optim.Adam(model.parameters())
    >>> complement = ComplementGenerator(model, unlabelled, random_state=0)
    >>> for _ in range(3):
    ...     loss = nn.functional.cross_entropy(model(x), y) + complement.loss()
    ...     optimiser.zero_grad()
    ...     loss.backward()
    ...     optimiser.step()
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        *,
        fakes: Literal["generator", "mixes", "none"] | Fakes = "generator",
        weight: float = 0.5,
        entropy: float = 0.3,
        batch_size: int = 64,
        transform: Transform | None = None,
        blocks: tuple[int, ...] = (),
        random_state: Seed = None,
    ):
        if not callable(fakes):
            known_name("fakes", fakes, ["generator", "mixes", "none"])
        number("weight", weight, low=0)
        number("entropy", entropy, low=0)
        number("batch_size", batch_size, low=2, integer=True)
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim not in (2, 4) or not len(x):
            found = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise DataError(
                "x must be a float tensor of unlabelled samples, (n, n_features) or (n, channels, height, "
                f"width); got {found}."
            )
        finite("x", x.detach().float().cpu().numpy())
        if x.abs().max() > 1 + 1e-4:
            raise DataError(
                f"x must have values in [-1, 1], as the generator has; got {float(x.min()):g} to "
                f"{float(x.max()):g}. Scale the samples, or let the model do so."
            )
        self.model, self.x, self.transform = model, x, transform
        self.weight, self.entropy = weight, entropy
        mixed = means if x.ndim == 4 else partial(shuffled, widths=blocks)
        self.fakes: str | Fakes = mixed if fakes == "mixes" else fakes
        self.batch_size, self.seed = batch_size, as_seed(random_state)
        try:
            last = feature_layer(model, x[[0, -1]])
        except RuntimeError as error:
            raise ConfigError(f"model must take samples {tuple(x[:2].shape)} like x; {error}") from error
        if last is None:
            raise ConfigError(
                "model must be a Module from samples to logits (n, n_classes) of two classes or more, with "
                "a Linear layer at its end, whose inputs are the features that the generator matches, and "
                f"no softmax behind it; {type(model).__name__} is none."
            )
        self._last = last
        self._steps = 0
        self.G: nn.Module | None = None
        if fakes == "generator":
            kind, name = ("image", "dcgan") if x.ndim == 4 else ("table", "mlp")
            sizes: dict[str, Any] = {"shape": tuple(x.shape[1:]), "width": WIDTH[kind]}
            with seeded(derive(self.seed, "weights"), torch.device("cpu")):
                G, _ = NETWORKS[name](
                    n_classes=1, z_dim=Z_DIM, **sizes, **({"blocks": blocks} if kind == "table" else {})
                )
            self.G = G.to(x.device)
            self._optimiser = torch.optim.Adam(self.G.parameters(), lr=LEARNING_RATE, betas=BETAS)

    def loss(self) -> Tensor:
        """Return the classifier's loss on a batch of unlabelled and fake samples; the generator takes a step.

        Returns
        -------
        Tensor
            A number to add to the loss on labelled samples, weighted already.
        """
        with torch.enable_grad():
            return self._loss()

    def _loss(self) -> Tensor:
        noise = torch_stream(self.seed, "step", self._steps)
        self._steps += 1
        x = self.x[torch.randint(len(self.x), (self.batch_size,), generator=noise).to(self.x.device)]
        x = x if self.transform is None else self.transform(x)
        real_logits, real_features = self._judged(x)
        undecided = -(real_logits.softmax(1) * real_logits.log_softmax(1)).sum(1).mean()
        if self.fakes == "none":
            return self.entropy * undecided
        x_fake = self._fake(x, noise)
        shown = x_fake.detach().requires_grad_(self.G is not None)
        with _statistics_kept(self.model):
            fake_logits, fake_features = self._judged(shown.clone())  # which a model may write over
        if self.G is not None:
            distance = feature_distance(real_features.detach(), fake_features)
            if not distance.requires_grad:
                raise ConfigError(
                    "model must let gradients through to its input, by which the generator learns; some of "
                    "it runs under torch.no_grad. Freeze its parameters (requires_grad=False) instead."
                )
            (slope,) = torch.autograd.grad(distance, shown, retain_graph=True)
            self._optimiser.zero_grad(set_to_none=True)
            x_fake.backward(slope)
            self._optimiser.step()
        game = LOSS.discriminator(evidence(real_logits), evidence(fake_logits)).mean()
        return self.weight * game + self.entropy * undecided

    def _fake(self, x: Tensor, noise: torch.Generator) -> Tensor:
        """Return samples of no class: from the generator, or made of those of a batch."""
        if callable(self.fakes):
            return self.fakes(x, noise)
        assert self.G is not None
        z = torch.randn(len(x), Z_DIM, generator=noise).to(x.device)
        x_fake: Tensor = self.G(z, torch.zeros(len(x), dtype=torch.int64, device=x.device))
        return x_fake.to(x.dtype)

    def _judged(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the classifier's logits, and what its last layer sees."""
        seen: list[Tensor] = []
        hook = self._last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        try:
            logits = self.model(x)
        finally:
            hook.remove()
        return logits.float(), seen[-1].float().flatten(1)


def means(x: Tensor, noise: torch.Generator) -> Tensor:
    """Return the mean of each sample of a batch and the one before it."""
    return (x + x.roll(1, 0)) / 2


def shuffled(x: Tensor, noise: torch.Generator, *, widths: tuple[int, ...] = ()) -> Tensor:
    """Return rows (n, n_features) whose blocks, of these widths or numbers, come from rows of their own.

    With one block there would be nothing to mix, and rows are means of two.
    """
    sizes = torch.tensor(widths or [1] * x.shape[1])
    if len(sizes) == 1:
        return means(x, noise)
    source = torch.rand(len(x), len(sizes), generator=noise).argsort(0).repeat_interleave(sizes, dim=1)
    return x.gather(0, source.to(x.device))


def feature_layer(model: Any, x: Tensor) -> nn.Linear | None:
    """Return the Linear layer that gives a classifier's logits on two samples (2, *shape), if one does."""
    fired: list[tuple[nn.Linear, Tensor]] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Linear) and inputs:
            fired.append((layer, output))

    if not isinstance(model, nn.Module):
        return None
    hooks = [p.register_forward_hook(note) for p in model.modules() if isinstance(p, nn.Linear)]
    modes = [(part, part.training) for part in model.modules()]
    try:
        with torch.no_grad():
            logits = model.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes:
            part.training = training
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2 or _normalised(logits):
        return None
    alike = [(layer, output) for layer, output in fired if output.shape == logits.shape]
    own = [layer for layer, output in alike if torch.allclose(output.float(), logits.float(), equal_nan=True)]
    layers = own or [layer for layer, _ in alike]
    return layers[-1] if layers else None


def _normalised(logits: Tensor) -> bool:
    """Return whether logits are probabilities or their logarithms, which say nothing of any class at all."""
    logits = logits.float()
    sums = logits.sum(1) if (logits >= 0).all() else logits.logsumexp(1).exp()
    return torch.allclose(sums, torch.ones_like(sums), atol=1e-4)


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Keep fake samples out of the running statistics by which the classifier predicts."""
    parts = [part for part in model.modules() if isinstance(part, _NormBase) and part.track_running_stats]
    momenta = [part.momentum for part in parts]
    counts = [part.num_batches_tracked.clone() for part in parts if part.num_batches_tracked is not None]
    for part in parts:
        part.momentum = 0.0
    try:
        yield
    finally:
        for part, momentum in zip(parts, momenta, strict=True):
            part.momentum = momentum
        for part, count in zip(parts, counts, strict=True):
            assert part.num_batches_tracked is not None
            part.num_batches_tracked.copy_(count)
