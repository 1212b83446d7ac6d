"""The linear surrogate: ridge regression in closed form, from sums over all positions: one pass, double precision.

L layers · G KV heads.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training.targets import ScoredPositions

__all__ = ["Sums", "fit_linear"]

PENALTY = 1.0
"""On the squares of the weights, not on the intercept: the paper's (scikit-learn's default)."""


class Sums:
    """What a ridge regression needs of its rows, whatever their number: sums of x, y, x x', and x y', per layer.

    They take L * hidden^2 float64 numbers: 80 MB for SmolLM2-135M, 5 GB for a model of 36 layers and 4,096.
    """

    def __init__(self, n_layers: int, hidden: int, groups: int, device: torch.device) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self.tensors: dict[str, Tensor] = {
            "n": zeros(1),
            "x": zeros(n_layers, hidden),
            "y": zeros(n_layers, groups),
            "xx": zeros(n_layers, hidden, hidden),
            "xy": zeros(n_layers, hidden, groups),
        }

    def add(self, positions: ScoredPositions) -> None:
        """Add these positions to the sums that the regression is solved from."""
        sums = self.tensors
        sums["n"] += len(positions.inputs)
        for layer in range(len(sums["x"])):
            x, y = positions.inputs[:, layer].double(), positions.scores[:, layer].double()
            sums["x"][layer] += x.sum(dim=0)
            sums["y"][layer] += y.sum(dim=0)
            sums["xx"][layer].addmm_(x.T, x)
            sums["xy"][layer].addmm_(x.T, y)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from sums that were saved; they have these shapes."""
        for name, value in self.tensors.items():
            value.copy_(tensors[name])


def fit_linear(sums: Sums) -> KVzapSurrogate:
    """The surrogate with the least squared error over the rows, plus `PENALTY` times its squared weights."""
    n, x, y, xx, xy = sums.tensors.values()
    n_layers, hidden, groups = xy.shape
    surrogate = KVzapSurrogate(SurrogateConfig(hidden, groups, n_layers))
    for layer in range(n_layers):
        weight, bias = _solved(n, x[layer], y[layer], xx[layer], xy[layer])
        surrogate.layers[layer].load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return surrogate.eval().requires_grad_(False)


def _solved(
    n: Float[Tensor, "1"],
    x: Float[Tensor, " hidden"],
    y: Float[Tensor, " G"],
    xx: Float[Tensor, "hidden hidden"],
    xy: Float[Tensor, "hidden G"],
) -> tuple[Float[Tensor, "G hidden"], Float[Tensor, " G"]]:
    """Weights and intercepts of one layer."""
    covariance = xx - torch.outer(x, x) / n
    covariance.diagonal().add_(PENALTY)
    weight = torch.linalg.solve(covariance, xy - torch.outer(x, y) / n).T
    return weight, (y - weight @ x) / n
