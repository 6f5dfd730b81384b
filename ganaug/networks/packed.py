"""A D that judges several samples of a class at once."""

import torch
from torch import Tensor, nn

from ganaug.networks.conditioning import Answer


class Packed(nn.Module):
    """Show `pack` neighbours to D as one sample, so that it sees a lack of variety (PacGAN: 1712.04086).

    Neighbours are of one class. Each sample gets the logit of its pack, so that all else stays as it is;
    a last pack that is not full is filled up with the first samples.
    """

    def __init__(self, D: nn.Module, pack: int):
        super().__init__()
        self.D, self.pack = D, pack

    def forward(self, x: Tensor, c: Tensor) -> Tensor | Answer:
        n, short = len(x), -len(x) % self.pack
        if short:
            x, c = torch.cat([x, x[:short]]), torch.cat([c, c[:short]])
        packs = x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])
        answer = self.D(packs, c[:: self.pack])
        if isinstance(answer, Answer):
            each, cost = (v.repeat_interleave(self.pack, 0)[:n] for v in (answer.logits, answer.cost))
            return Answer(logits=each, weight=answer.weight, cost=cost)
        logits: Tensor = answer.repeat_interleave(self.pack)[:n]
        return logits
