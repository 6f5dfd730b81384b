"""Each step moves one player, by the loss it is given."""

import copy

import pytest
import torch
from torch import Tensor, nn

from ganaug.adversarial.losses import LOSSES
from ganaug.config import GANConfig
from ganaug.training.state import GANState, new_state
from ganaug.training.steps import discriminator_step, generator_step

C = torch.tensor([0, 1] * 8)


def make_state(network: str = "mlp") -> GANState:
    config = GANConfig(network=network, width=8, z_dim=8, precision="float32")
    return new_state(config, shape=(1, 8, 8), n_classes=2, seed=0, device=torch.device("cpu"))


def real_batch() -> Tensor:
    return torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise() -> Tensor:
    return torch.randn(16, 8, generator=torch.Generator().manual_seed(2))


def identity(x: Tensor) -> Tensor:
    return x


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("network", ["resnet", "mlp"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_d_step_moves_all_of_d_and_nothing_of_g(network: str, name: str) -> None:
    state = make_state(network)
    x_fake = state.G(noise(), C)
    G, D, G_ema = snapshot(state.G), snapshot(state.D), snapshot(state.G_ema)
    discriminator_step(state, real_batch(), x_fake, C, loss=LOSSES[name], augment=identity)
    assert moved(state.G, G) == set()
    assert moved(state.G_ema, G_ema) == set()
    cancels = {"head.linear.bias"}  # inside the margin real and fake push it apart equally
    assert {n for n, _ in state.D.named_parameters()} - cancels <= moved(state.D, D)
    assert all(p.grad is None for p in state.G.parameters())


@pytest.mark.parametrize("network", ["resnet", "mlp"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_g_step_moves_all_of_g_and_nothing_of_d_not_even_its_spectral_norm(network: str, name: str) -> None:
    state = make_state(network)
    x_fake = state.G(noise(), C)
    discriminator_step(state, real_batch(), x_fake, C, loss=LOSSES[name], augment=identity)
    G, D, G_ema = snapshot(state.G), snapshot(state.D), snapshot(state.G_ema)
    generator_step(state, x_fake, C, loss=LOSSES[name], augment=identity)
    assert moved(state.D, D) == set()
    assert moved(state.G_ema, G_ema) == set()
    weights = {n for n, p in state.G.named_parameters() if p.grad.abs().max() > 0}
    assert {n for n, _ in state.G.named_parameters() if n.endswith("weight")} <= weights
    assert weights <= moved(state.G, G)


def test_d_learns_to_tell_a_fixed_batch_apart_and_g_to_undo_it() -> None:
    state = make_state()
    z, x_fake = noise(), make_state().G(noise(), C)
    game = {"loss": LOSSES["non-saturating"], "augment": identity}
    first, *_, last = (discriminator_step(state, real_batch(), x_fake, C, **game) for _ in range(60))
    assert last["loss/D"] < 0.85 * first["loss/D"]
    assert last["logits/real"] > last["logits/fake"]
    first, *_, last = (generator_step(state, state.G(z, C), C, **game) for _ in range(60))
    assert last["loss/G"] < 0.95 * first["loss/G"]


def test_the_reported_loss_is_the_mean_of_the_loss_of_the_reported_logits() -> None:
    state = make_state()
    x_fake = state.G(noise(), C).detach()
    D = copy.deepcopy(state.D).train()
    logits = D(torch.cat([real_batch(), x_fake]), torch.cat([C, C])).detach()
    stats = discriminator_step(state, real_batch(), x_fake, C, loss=LOSSES["hinge"], augment=identity)
    torch.testing.assert_close(stats["loss/D"], LOSSES["hinge"].discriminator(*logits.chunk(2)).mean())
    torch.testing.assert_close(stats["logits/real"], logits[:16].mean())
    torch.testing.assert_close(stats["logits/fake"], logits[16:].mean())


def test_real_and_fake_go_through_one_call_of_the_augmentation_real_first() -> None:
    state = make_state()
    seen: list[Tensor] = []

    def spy(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return x

    x_fake = state.G(noise(), C)
    discriminator_step(state, real_batch(), x_fake, C, loss=LOSSES["hinge"], augment=spy)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], torch.cat([real_batch(), x_fake.detach()]))
    generator_step(state, x_fake, C, loss=LOSSES["hinge"], augment=spy)
    torch.testing.assert_close(seen[1], x_fake.detach())
