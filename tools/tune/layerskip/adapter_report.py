"""What adapters are worth on prompts that they never saw, and what they cost."""
import torch

from .adapter import Adapter
from .answers import Text
from .measure import Rounds
from .model import Config, Llama


class Chains(Rounds):
    """Counts over the rounds of greedy self-speculation where each depth of a chain has an agreement of its own."""

    def add(self, agree: list[list[bool]], length: int) -> None:
        """Play the rounds over one answer. `agree[d][i]` says that the draft of token i at depth d of a chain is the last
        layer's choice. Drafts follow the true text up to their first mistake, so this decides every round exactly."""
        self.agreed, self.tokens, at = self.agreed + sum(agree[0]), self.tokens + len(agree[0]), 0
        while at < len(agree[0]):
            drafted, kept = min(length, len(agree[0]) - at), 0
            while kept < drafted and agree[kept][at + kept]:
                kept += 1
            self.drafted, self.accepted = self.drafted + drafted, self.accepted + kept
            self.rejected, self.rounds = self.rejected + drafted - kept, self.rounds + 1
            at += kept + 1


def costs(c: Config, layers: int, exit_layer: int, width: int, adapter: bool) -> float:
    """Weights that a draft reads, relative to those of a plain step; `layers` is the number of weights of all layers."""
    layer = layers / c.layers
    draft = exit_layer * layer + width * c.dim + (layer + 2 * c.dim * c.dim) * adapter
    return draft / (layers + c.vocab * c.dim)


@torch.inference_mode()
def between(model: Llama, adapter: Adapter, texts: list[Text], order: torch.Tensor) -> list[dict]:
    """For each exit layer without an adapter: the agreement of a first draft through the model's own head, and through the
    better of the two adapters next to it. `order` are the ids of the draft vocabulary; the whole model is needed."""
    device, found = model.head_weight.device, {}
    head, order = model.head_weight.float(), order.to(device)
    others = [e for e in range(1, model.c.layers) if e not in adapter.exits]
    beside = {e: [max((a for a in adapter.exits if a < e), default=None), min((a for a in adapter.exits if a > e), default=None)]
              for e in others}
    for text in texts:
        states = model.hiddens(text.ids[None, :-1].long().to(device), [*others, model.c.layers])
        last, at = states[model.c.layers], slice(text.start - 1, None)
        truth = torch.nn.functional.linear(model.normed(last[0, at]), head).argmax(-1)
        agree = lambda h: (order[(model.normed(h.float())[0, at] @ head[order].T).argmax(-1)] == truth).float().mean().item()
        for e in others:
            ways = {0: agree(states[e])}
            ways |= {a: agree(adapter.chain(model, a, states[e], last, 1)[0]) for a in beside[e] if a is not None}
            for way, share in ways.items():
                total = found.setdefault((e, way), [0.0, 0])
                total[0], total[1] = total[0] + share * len(truth), total[1] + len(truth)
    rows = []
    for e in others:
        shares = {way: total / count for (at, way), (total, count) in found.items() if at == e}
        best = max(shares, key=shares.get)
        rows.append({"exit_layer": e, "adapter_of": best, "agreement": {str(way): round(x, 4) for way, x in shares.items()}})
    return rows


def draft_order(frequency: torch.Tensor, width: int) -> torch.Tensor:
    """The `width` most frequent tokens, the most frequent first, ties and tokens that never came in the order of their ids."""
    return torch.sort(frequency, descending=True, stable=True).indices[:width]


@torch.inference_mode()
def report(model: Llama, adapter: Adapter, stored: list[int], texts: list[Text], orders: dict[str, torch.Tensor], depths: int,
           verify: dict[int, float], layers: int) -> list[dict]:
    """A row for each exit, with and without its adapter, and draft vocabulary [(name, ids)]; `verify` is the time of a verify by
    draft length, relative to a plain step, `layers` the weights of all layers."""
    device, head, rows = model.head_weight.device, model.head_weight.float(), []
    found = {}
    for text in texts:
        states, at = text.states.float().to(device), slice(text.start - 1, None)
        truth = torch.nn.functional.linear(model.normed(states[at, -1]), head).argmax(-1)
        for exit_layer in adapter.exits:
            h_exit = states[None, :, stored.index(exit_layer)]
            outputs = adapter.chain(model, exit_layer, h_exit, states[None, :, -1], depths)
            for with_adapter, hiddens in ((True, outputs), (False, [h_exit] * depths)):
                normed = [model.normed(o.float())[0, at] for o in hiddens]
                for name, ids in orders.items():
                    columns = head if ids is None else head[ids]
                    whole = torch.arange(len(head), device=device) if ids is None else ids.to(device)
                    agree = [(whole[(n @ columns.T).argmax(-1)] == truth).tolist() for n in normed]
                    found.setdefault((exit_layer, with_adapter, name), []).append(agree)
    for (exit_layer, with_adapter, name), answers in found.items():
        width = model.c.vocab if orders[name] is None else len(orders[name])
        cost, row = costs(model.c, layers, exit_layer, width, with_adapter), {}
        for length in verify:
            if length > depths:
                continue
            rounds = Chains()
            for agree in answers:
                rounds.add(agree, length)
            found_row = rounds.report()
            speed = found_row["mean_accepted_length"] / (length * cost + verify[length])
            row[length] = {"acceptance": found_row["acceptance"], "tokens_a_round": found_row["mean_accepted_length"],
                           "predicted_speed_up": round(speed, 3)}
        by_depth = [sum(map(sum, (a[d] for a in answers))) / sum(len(a[d]) for a in answers) for d in range(depths)]
        rows.append({"exit_layer": exit_layer, "adapter": with_adapter, "draft_vocab": name, "cost": round(cost, 4),
                     "agreement_by_depth": [round(x, 4) for x in by_depth], "by_length": row})
    return rows
