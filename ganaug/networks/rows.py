"""The last step of a G for tables: numbers become scalars in [-1, 1] and one-hots."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RowHead(nn.Module):
    """Turn plain numbers (n, n_numbers) into rows: tanh for each scalar, a drawn one-hot for each block.

    A category is drawn by adding Gumbel noise to the numbers of its block and taking the largest: exactly
    the softmax of the numbers as chances. Forward the one-hot is hard, like a real one, so that D cannot
    tell by its edges; the gradient is that of a softmax at `temperature` (straight-through Gumbel-softmax:
    Jang et al., 1611.01144).

    Parameters
    ----------
    blocks : sequence of int
        Widths of the consecutive blocks of a row: 1 for a scalar, k for a one-hot of k.
    temperature : float, default=0.5
        Of the softmax whose gradient is used.

    Examples
    --------
    >>> head = RowHead([1, 3])
    >>> x = head(torch.randn(5, 4))
    >>> bool(((x[:, 1:] == 0) | (x[:, 1:] == 1)).all()), x[:, 1:].sum(1).tolist()
    (True, [1.0, 1.0, 1.0, 1.0, 1.0])
    """

    scalar: Tensor
    block: Tensor
    member: Tensor

    def __init__(self, blocks: Sequence[int], *, temperature: float = 0.5):
        super().__init__()
        self.temperature, self.widths = temperature, list(blocks)
        widths = torch.tensor(self.widths, device="cpu")  # also under `torch.device("meta")`
        numbers = torch.arange(len(widths), device="cpu")
        block = numbers.repeat_interleave(widths)  # (n_numbers,) whose block each is
        self.mixed = bool((widths > 1).any())
        self.register_buffer("scalar", (widths == 1)[block], persistent=False)
        self.register_buffer("block", block, persistent=False)
        member = torch.nn.functional.one_hot(block).float() if self.mixed else torch.empty(0)
        self.register_buffer("member", member, persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        if not self.mixed:
            return numbers.tanh()
        numbers = numbers.float()
        noisy = numbers - torch.rand_like(numbers).log_().neg_().log_()
        with torch.no_grad():
            parts = [part.amax(1, keepdim=True) for part in noisy.split(self.widths, dim=1)]
            largest = torch.cat(parts, dim=1).index_select(1, self.block)
            hard = (noisy == largest).float()
        if not torch.is_grad_enabled():
            hard[:, self.scalar] = numbers[:, self.scalar].tanh()
            return hard
        with torch.autocast(numbers.device.type, enabled=False):
            e = ((noisy - largest) / self.temperature).exp()
            chances = e / (e @ self.member @ self.member.T)
        return torch.where(self.scalar, numbers.tanh(), chances + (hard - chances).detach())
