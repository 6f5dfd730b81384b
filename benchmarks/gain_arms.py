"""Arms and classifiers of gain.py that the package does not name, as a user would write them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganaug import ConditionalGAN
from ganaug._random import derive, numpy_stream, seeded, torch_stream
from ganaug.adversarial.losses import LOSSES
from ganaug.data.schema import stack
from ganaug.experiment.arms import ARMS, Arm, TrainingPart, chosen, copies, synthetic, tuned
from ganaug.experiment.classic import classic_transform
from ganaug.experiment.samples import drawn_rows
from ganaug.networks import NETWORKS
from ganaug.training.checkpoint import load_tensors
from ganaug.training.run import CHECKPOINTS
from ganaug.training.state import new_state

__all__ = ["CLASSIFIERS", "LEVERS"]

CPU = torch.device("cpu")


def strided(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Return a convolutional network that halves the sides of larger images at once, to save time."""

    def block(n_in: int, n_out: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(n_out), nn.LeakyReLU(0.1)]

    first = 1 if min(shape[1:]) < 16 else 2
    network = nn.Sequential(
        *block(shape[0], 32, first),
        *block(32, 32, 1),
        *block(32, 64, 2),
        *block(64, 64, 1),
        *block(64, 128, 2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(512, n_classes),
    )
    return network.to(memory_format=torch.channels_last)


CLASSIFIERS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"strided": strided}


# --- generators of other games ----------------------------------------------------------------------


@dataclass(frozen=True)
class Generated:
    """Samples of a generator with settings of its own."""

    changes: tuple[tuple[str, Any], ...]

    def __call__(self, part: TrainingPart) -> Tensor:
        """Return samples of the wanted classes."""
        config = replace(part.fitted_gan().config_, snapshot="last", **dict(self.changes))
        gan = ConditionalGAN(config=config, device="cpu", random_state=derive(part.seed, "gan"))
        gan.fit(part.X, part.schema.labels[part.c.numpy()], names=part.schema.names)
        return synthetic(replace(part, fitted_gan=lambda: gan, snapshot=None))


def generated_of_all(part: TrainingPart) -> Tensor:
    """Return samples of a generator that learned from unlabelled samples too, by pseudo-labels."""
    assert part.unlabelled is not None
    assert part.teacher is not None
    gan = part.fitted_gan()
    chance, c = part.teacher()(part.unlabelled).max(1)
    sure = chance >= chance.quantile(0.1)
    X = stack(part.X, part.schema.codec.decode(part.unlabelled[sure]))
    labels = part.schema.labels[torch.cat([part.c, c[sure]]).numpy()]
    config = replace(gan.config_, snapshot="last")
    gan = ConditionalGAN(config=config, device="cpu", random_state=derive(part.seed, "gan"))
    gan.fit(X, labels, names=part.schema.names)
    return synthetic(replace(part, fitted_gan=lambda: gan, snapshot=None))


def triple(part: TrainingPart, *, images: int = 30_000, batch: int = 64) -> Tensor:
    """Return samples of a generator that played with a discriminator and a classifier (after Triple-GAN).

    As there, what the classifier says of unlabelled samples makes pairs that D takes for real, for the
    labelled ones are too few; and the classifier trains on generated pairs, from a third of the game on.
    """
    assert part.unlabelled is not None
    noise, shape, n_classes = (
        torch_stream(part.seed, "triple"),
        tuple(part.x.shape[1:]),
        len(part.schema.labels),
    )
    with seeded(derive(part.seed, "triple"), CPU):
        G, D = NETWORKS["dcgan"](shape=shape, n_classes=n_classes, z_dim=64, width=16)
        C = strided(shape, n_classes)
    opt_G = torch.optim.Adam(G.parameters(), 2e-4, betas=(0.5, 0.999))
    opt_D = torch.optim.Adam(D.parameters(), 2e-4, betas=(0.5, 0.999))
    opt_C = torch.optim.Adam(C.parameters(), 1e-3)
    classic = classic_transform(part.x, seed=derive(part.seed, "triple"))
    steps, loss = images // batch, LOSSES["hinge"]

    def drawn(n: int) -> Tensor:
        return torch.randint(n, (batch // 2,), generator=noise)

    for step in range(steps):
        labelled, others = drawn(len(part.c)), part.unlabelled[drawn(len(part.unlabelled))]
        with torch.no_grad():
            c_others = C.eval()(others).argmax(1)
        x, c = torch.cat([part.x[labelled], others]), torch.cat([part.c[labelled], c_others])
        c_fake = torch.randint(n_classes, (batch,), generator=noise)
        x_fake = G(torch.randn(batch, 64, generator=noise), c_fake)
        loss_D = loss.discriminator(D(x, c), D(x_fake.detach(), c_fake)).mean()
        opt_D.zero_grad()
        loss_D.backward()
        opt_D.step()
        loss_C = F.cross_entropy(C.train()(classic(part.x[labelled])), part.c[labelled])
        if 3 * step >= steps:
            loss_C = loss_C + 0.3 * F.cross_entropy(C(x_fake.detach()), c_fake)
        opt_C.zero_grad()
        loss_C.backward()
        opt_C.step()
        loss_G = loss.generator(D(x, c).detach(), D(x_fake, c_fake)).mean()
        opt_G.zero_grad()
        loss_G.backward()
        opt_G.step()
    with torch.no_grad():
        made = [G(torch.randn(len(c), 64, generator=noise), c) for c in part.extra_c.split(512)]
    return torch.cat(made)


def trusted_by_D(part: TrainingPart) -> Tensor:
    """Return of four times as many samples those that D finds the most real, by class."""
    config = replace(part.fitted_gan().config_, snapshot="last")
    gan = ConditionalGAN(config=config, device="cpu", random_state=derive(part.seed, "gan"))
    with TemporaryDirectory() as folder:
        labels = part.schema.labels[part.c.numpy()]
        gan.fit(part.X, labels, names=part.schema.names, out=Path(folder) / "run")
        path = max((Path(folder) / "run" / CHECKPOINTS).iterdir(), key=lambda p: p.stat().st_mtime_ns)
        tensors, _ = load_tensors(path)
    state = new_state(
        config, shape=tuple(part.x.shape[1:]), n_classes=len(part.schema.labels), seed=gan.seed_, device=CPU
    )
    state.load_tensors(tensors, origin=path)
    candidates = part.extra_c.repeat_interleave(4)
    x = synthetic(replace(part, extra_c=candidates, fitted_gan=lambda: gan, snapshot=None))
    with torch.no_grad():
        parts = zip(x.split(512), candidates.split(512), strict=True)
        real_logits = torch.cat([state.D.eval()(*each).flatten() for each in parts])
    best = real_logits.argsort(descending=True, stable=True)
    best = best[candidates[best].argsort(stable=True)]
    rank = torch.cat([torch.arange(n) for n in torch.bincount(candidates).tolist()])
    return x[best[rank < torch.bincount(part.extra_c, minlength=len(part.schema.labels))[candidates]]]


# --- transfer from large classes to small ones -------------------------------------------------------


class Encoder(nn.Module):
    """The noise from which a generator would draw an image of its class."""

    def __init__(self, shape: tuple[int, ...], n_classes: int, z_dim: int):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(shape[0], 32, 3, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.LeakyReLU(0.2)),
            *(nn.AdaptiveAvgPool2d(4), nn.Flatten()),
        )
        self.embed = nn.Embedding(n_classes, 64)
        self.head = nn.Sequential(nn.Linear(64 * 16 + 64, 256), nn.LeakyReLU(0.2), nn.Linear(256, z_dim))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        z: Tensor = self.head(torch.cat([self.body(x), self.embed(c)], dim=1))
        return z


def encoder_of(part: TrainingPart, *, steps: int = 1000) -> tuple[Any, Encoder]:
    """Return the generator of a part, and an encoder that learned its noise from its own samples."""
    gan = part.fitted_gan()
    n_classes, z_dim = len(part.schema.labels), gan.config_.z_dim
    with seeded(derive(part.seed, "encoder"), CPU):
        encoder = Encoder(tuple(part.x.shape[1:]), n_classes, z_dim)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-3)
    noise = torch_stream(part.seed, "encoder")
    for _ in range(steps):
        z = torch.randn(64, z_dim, generator=noise)
        c = torch.randint(n_classes, (64,), generator=noise)
        with torch.no_grad():
            x = gan.G_(z, c).float()
        loss = F.mse_loss(encoder(x, c), z)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return gan, encoder.eval()


@torch.no_grad()
def drawn_from(gan: Any, encoder: Encoder, x: Tensor, c: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Return images of the wanted classes from means of the noise of images (2, n, *shape) and classes."""
    z = (weight * torch.stack([encoder(x[i], c[i]) for i in (0, 1)])).sum(0)
    z = z / z.square().mean(1, keepdim=True).sqrt().clamp(min=1e-3)  # as long as noise is
    return torch.cat([gan.G_(a, b).float() for a, b in zip(z.split(512), wanted.split(512), strict=True)])


def latent_mixes(part: TrainingPart) -> Tensor:
    """Return images between two real ones of their class, in the generator's noise."""
    gan, encoder = encoder_of(part)
    rng = numpy_stream(part.seed, "latent mixes")
    rows = torch.stack([torch.from_numpy(drawn_rows(part.c, part.extra_c, rng)) for _ in range(2)])
    share = torch.from_numpy(rng.random((len(part.extra_c), 1))).float()
    weight = torch.stack([share, 1 - share])
    return drawn_from(gan, encoder, part.x[rows], part.c[rows], part.extra_c, weight)


def restyled(part: TrainingPart) -> Tensor:
    """Return images of the wanted classes in the styles of real ones of any class."""
    gan, encoder = encoder_of(part)
    rows = numpy_stream(part.seed, "styles").integers(len(part.c), size=(2, len(part.extra_c)))
    weight = torch.tensor([1.0, 0.0])[:, None, None]
    return drawn_from(gan, encoder, part.x[rows], part.c[rows], part.extra_c, weight)


class Warp(nn.Module):
    """Warps an image by a smooth field and an affine map, both from the image and noise (after DAGAN)."""

    def __init__(self, shape: tuple[int, ...], z_dim: int = 32, width: int = 16, reach: float = 0.35):
        super().__init__()
        self.z_dim, self.reach = z_dim, reach
        self.encode = nn.Sequential(
            *(nn.Conv2d(shape[0], width, 3, padding=1), nn.LeakyReLU(0.2), nn.AvgPool2d(2)),
            *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.LeakyReLU(0.2), nn.AvgPool2d(2)),
        )
        self.style = nn.Linear(z_dim, 4 * width)
        self.mix = nn.Sequential(nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.LeakyReLU(0.2))
        self.flow = nn.Conv2d(2 * width, 2, 3, padding=1)
        self.affine = nn.Sequential(nn.Linear(2 * width + z_dim, 64), nn.LeakyReLU(0.2), nn.Linear(64, 6))
        nn.init.normal_(self.affine[-1].weight, 0, 0.01)
        nn.init.zeros_(self.affine[-1].bias)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        scale, shift = self.style(z)[..., None, None].chunk(2, 1)
        h = self.encode(x)
        h = h + self.mix(h * (1 + scale) + shift)
        field = F.interpolate(self.reach * self.flow(h).tanh(), size=x.shape[2:], mode="bicubic")
        theta = 0.5 * self.affine(torch.cat([h.mean((2, 3)), z], 1)).tanh().view(-1, 2, 3) + torch.eye(2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False) + field.permute(0, 2, 3, 1)
        warped: Tensor = F.grid_sample(x + 1, grid, align_corners=False) - 1
        return warped


def pair_critic(channels: int, width: int = 24) -> nn.Module:
    """Return a critic of two images that should be of one class."""

    def conv(n_in: int, n_out: int) -> list[nn.Module]:
        return [spectral_norm(nn.Conv2d(n_in, n_out, 3, padding=1)), nn.LeakyReLU(0.2), nn.AvgPool2d(2)]

    return nn.Sequential(
        *conv(2 * channels, width),
        *conv(width, 2 * width),
        *conv(2 * width, 4 * width),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), spectral_norm(nn.Linear(4 * width, 1))),
    )


def warped(part: TrainingPart, *, images: int = 40_000, batch: int = 64) -> Tensor:
    """Return copies of real images, warped by a generator that learned from pairs of the larger classes."""
    noise, shape = torch_stream(part.seed, "warps"), tuple(part.x.shape[1:])
    counts = torch.bincount(part.c)
    large = (counts >= counts.median()).nonzero().flatten()
    rows = {k: (part.c == k).nonzero().flatten() for k in large.tolist()}
    with seeded(derive(part.seed, "warps"), CPU):
        G, D = Warp(shape), pair_critic(shape[0])
    opt_G = torch.optim.Adam(G.parameters(), 2e-4, betas=(0.0, 0.9))
    opt_D = torch.optim.Adam(D.parameters(), 8e-4, betas=(0.0, 0.9))

    def pairs() -> Tensor:
        classes = large[torch.randint(len(large), (batch,), generator=noise)].tolist()
        chosen = [rows[k][torch.randint(len(rows[k]), (2,), generator=noise)] for k in classes]
        return part.x[torch.stack(chosen, 1)]

    for _ in range(images // batch):
        (a, b), (other, _) = pairs(), pairs()
        with torch.no_grad():
            fake = G(other, torch.randn(batch, G.z_dim, generator=noise))
        real_logits, fake_logits = D(torch.cat([a, b], 1)), D(torch.cat([other, fake], 1))
        loss = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        opt_D.zero_grad()
        loss.backward()
        opt_D.step()
        a, _ = pairs()
        one, two = (G(a, torch.randn(batch, G.z_dim, generator=noise)) for _ in range(2))
        loss = -D(torch.cat([a, one], 1)).mean() - 0.5 * (one - two).abs().mean()
        opt_G.zero_grad()
        loss.backward()
        opt_G.step()
    with torch.no_grad():
        made = [G(x, torch.randn(len(x), G.z_dim, generator=noise)) for x in copies(part).split(512)]
    return torch.cat(made)


# --- arms -------------------------------------------------------------------------------------------

_CLASSIC, _GAN = ARMS["classic"], ARMS["gan + classic"]


def own(extra: Any) -> Arm:
    """Return the arm that fills up with samples of one's own making, with classic augmentation."""
    return replace(_GAN, extra=extra, generative=True)


def pair(name: str, **settings: Any) -> dict[str, Arm]:
    """Return a lever on generated samples and on copies, both with classic augmentation."""
    return {
        f"classic + {name}": replace(_CLASSIC, **settings),
        f"gan + classic + {name}": replace(_GAN, **settings),
    }


LEVERS: dict[str, Arm] = {
    "classic + class weights": replace(_CLASSIC, extra=None, class_weights=True),
    **pair("even", place="even", dose=0.3),
    **pair("agreement", gate="agreement"),
    **pair("realism", gate="realism"),
    **pair("novelty", gate="novelty"),
    **pair("smooth", labels="smooth"),
    **pair("lighter", weight=0.3),
    **pair("real last", phases="real last"),
    **pair("pretrain", phases="pretrain"),
    **pair("quarter", dose=0.25),
    **pair("even, agreement", place="even", dose=0.3, gate="agreement"),
    **pair("even, teacher", place="even", dose=0.3, labels="teacher"),
    "even elastic": replace(_CLASSIC, classic="elastic", place="even", dose=0.3),
    "gan + even elastic": replace(_GAN, classic="elastic", place="even", dose=0.3),
    "gan + elastic": replace(_GAN, classic="elastic"),
    "gan + classic + near boundary": replace(_GAN, extra=ARMS["gan near boundary"].extra, generative=True),
    "gan + classic + all snapshots": replace(_GAN, snapshot="all"),
    "gan + classic + best snapshots": replace(_GAN, snapshot="best"),
    "classic + latent mixes": own(latent_mixes),
    "classic + restyled": own(restyled),
    "classic + learned warps": replace(own(warped), generative=False),
    "style gan + classic": own(Generated((("network", "style"),))),
    "transitional gan + classic": own(Generated((("conditioning", "transitional"),))),
    "noisy-class gan + classic": own(Generated((("conditioning", "noisy"),))),
    "r3gan + classic": own(
        Generated((("network", "r3gan"), ("loss", "relativistic"), ("regularizers", ("r1", "r2"))))
    ),
    "trusted gan + classic": own(trusted_by_D),
    "classic, tuned by class": tuned(_CLASSIC, by_class=True),
    "gan + classic, tuned by class": tuned(_GAN, by_class=True),
    "classic, chosen": chosen(_CLASSIC),
    "gan + classic, chosen": chosen(_GAN),
    **{
        f"{name} + {fakes}": replace(
            _CLASSIC,
            classic=classic,
            mix="mixup",
            complement=fake,
            role="treatment" if fake == "generator" else "control",
        )
        for name, classic in (("classic + mixup", True), ("elastic + mixup", "elastic"))
        for fakes, fake in (("entropy", "none"), ("mixes", "mixes"), ("complement", "generator"))
    },
    **{
        f"classic + light {name}": replace(ARMS[f"classic + {name}"], complement_weight=0.2)
        for name in ("entropy", "mixes", "complement")
    },
    "elastic + mixup": replace(_CLASSIC, classic="elastic", mix="mixup"),
    "ada gan + classic": own(Generated((("ada_target", 0.6),))),
    "triple gan + classic": replace(
        ARMS["classic + pseudo-labels"], role="treatment", extra=triple, generative=True
    ),
    "gan of all samples + classic": replace(  # its twin gets the same unlabelled samples by pseudo-labels
        ARMS["classic + pseudo-labels"], role="treatment", extra=generated_of_all, generative=True
    ),
    **{
        name.replace("classic", "elastic"): replace(ARMS[name], classic="elastic")
        for name in (
            "classic + pseudo-labels",
            "classic + pseudo-labels + entropy",
            "classic + pseudo-labels + mixes",
            "classic + pseudo-labels + complement",
        )
    },
}
