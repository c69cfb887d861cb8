"""What holds the model where the published one has it: the weight of the last layer's loss, and the first token."""
import math

import torch

from .model import Llama


class Keeper:
    """Steers the weight of the last layer's loss by its agreement with the published model.

    It starts at `keep_weight`; where that is 0, where the resumed run left it, or at 2.
    """

    def __init__(self, s, weight: float | None = None):
        self.s, self.weight, self.agree = s, s.keep_weight or weight or 2.0, None

    def update(self, agree: float, fraction: float) -> None:
        self.agree = agree if self.agree is None else 0.95 * self.agree + 0.05 * agree
        goal = self.s.keep_from + (self.s.keep_goal - self.s.keep_from) * min(1.0, fraction / 0.85)
        pull = min(0.3, max(-0.3, goal - self.agree))
        self.weight = min(100.0, max(0.3, self.weight * math.exp(0.05 * pull)))


class Sink:
    """Holds the first token of a sequence, on which later layers park their attention.

    It sees only itself, so its states are the same in every sequence, and in small Llamas a hundred times longer than
    others. Exits have no use for it, but when it is lost, all layers above are.
    """

    def __init__(self, published: Llama):
        self.published, self.known = published, {}

    @torch.no_grad()
    def states(self, token: int) -> dict[int, torch.Tensor]:
        if token not in self.known:
            ids = torch.tensor([[token]], device=self.published.head_weight.device)
            with torch.autocast(ids.device.type, enabled=False):
                found = self.published.hiddens(ids, set(range(1, self.published.c.layers + 1)))
            self.known[token] = {end: h[0, 0].float() for end, h in found.items()}
        return self.known[token]

    def distance(self, token: int, end: int, x: torch.Tensor) -> torch.Tensor:
        """Squared distance of the first token's state `x` [dim] after `end` layers, relative to its size."""
        goal = self.states(token)[end]
        return (x.float() - goal).square().sum() / goal.square().sum()
