"""Expected attention to keys, where the queries are Gaussian: E[exp(scaling * q.k)], and its mean over a prefix.

G KV head · R query head of a group · D head dimension · K keys · T Gaussians, each with a prefix of its own.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["log_expected", "log_mean_expected"]

_KEYS_AT_ONCE = 512
_BAND = 4
"""How many rows of a symmetric matrix are taken together: fewer spare more products, more are larger ones."""


def log_expected(
    keys: Float[Tensor, "G K D"], mean: Float[Tensor, "G R D"], covariance: Float[Tensor, "G R D D"], scaling: float
) -> Float[Tensor, "G R K"]:
    """log E[exp(scaling * q.k)], that is scaling * m.k + scaling^2 / 2 * k'Ck, of each key.

    >>> log_expected(torch.ones(1, 1, 2), torch.ones(1, 1, 2), torch.eye(2)[None, None], scaling=0.5)
    tensor([[[1.2500]]])
    """
    heads, group, dim = mean.shape
    # k.(scaling * m + scaling^2 / 2 * Ck): one product for all query heads of a group.
    matrix = (0.5 * scaling**2 * covariance).permute(0, 2, 1, 3).reshape(heads, dim, group * dim)
    offset = (scaling * mean).reshape(heads, 1, group * dim)
    parts = [
        torch.baddbmm(offset, part, matrix).view(heads, -1, group, dim).mul_(part[:, :, None]).sum(dim=-1)
        for part in keys.split(_KEYS_AT_ONCE, dim=1)
    ]
    return torch.cat(parts, dim=1).transpose(1, 2)


def log_mean_expected(
    keys: Float[Tensor, "G K D"],
    mean: Float[Tensor, "T G R D"],
    covariance: Float[Tensor, "T G R D D"],
    start: Int[Tensor, " T"],
    last: Int[Tensor, " T"],
    scaling: float,
) -> Float[Tensor, "T G R"]:
    """log of the mean of E[exp(scaling * q.k)] over the keys start..last of each Gaussian; float64.

    `last` grows. All Gaussians of a KV head meet a block of keys in one product: k'Ck is a sum over the products
    k_i * k_j, which are made once, and half of which suffice, since C is symmetric.

    >>> one = torch.ones(1, dtype=torch.long)
    >>> log_mean_expected(torch.ones(1, 2, 2), torch.ones(1, 1, 1, 2), torch.eye(2)[None, None, None], one, one, 0.5)
    tensor([[[1.2500]]], dtype=torch.float64)
    """
    gaussians, heads, group, dim = mean.shape
    first, final = (ends.repeat_interleave(group) for ends in (start, last))
    starts_from = int(start.max())
    # One room for the products of all blocks: memory that is new costs more than they do.
    room = keys.new_empty(sum(_band_sizes(dim)) + dim, min(_KEYS_AT_ONCE, keys.shape[1]))
    totals = mean.new_full((heads, gaussians * group), -math.inf, dtype=torch.float64)
    for head in range(heads):
        factors = _factors(mean[:, head].flatten(0, 1), covariance[:, head].flatten(0, 1), scaling)
        transposed = keys[head].T.contiguous()
        for begin in range(0, int(last[-1]) + 1, _KEYS_AT_ONCE):
            block = transposed[:, begin : begin + _KEYS_AT_ONCE]
            positions = torch.arange(begin, begin + block.shape[1], device=keys.device)
            # Prefixes that end before this block are done with.
            open_from = int((final < begin).sum())
            products = _products(block, room[:, : block.shape[1]])
            values = factors[open_from:] @ products
            ending = values[: int((final < begin + block.shape[1]).sum()) - open_from]
            ending.masked_fill_(positions > final[open_from : open_from + len(ending), None], -math.inf)
            if begin < starts_from:
                values.masked_fill_(positions < first[open_from:, None], -math.inf)
            so_far = totals[head, open_from:]
            torch.logaddexp(so_far, _logsumexp(values).double(), out=so_far)
    means = totals.view(heads, gaussians, group).transpose(0, 1)
    return means - (last - start + 1).double().log()[:, None, None]


def _logsumexp(values: Float[Tensor, "C K"]) -> Float[Tensor, " C"]:
    """Of each row, in place; torch's own takes three times as long."""
    most = values.amax(dim=1).clamp_(min=torch.finfo(values.dtype).min)
    return values.sub_(most[:, None]).exp_().sum(dim=1).log_() + most


def _products(keys: Float[Tensor, "D K"], out: Float[Tensor, "P K"]) -> Float[Tensor, "P K"]:
    """k_i * k_j of each key, a band of rows i at a time and from its first column on; then the keys themselves."""
    dim, count = keys.shape
    for row, band in zip(range(0, dim, _BAND), out.split([*_band_sizes(dim), dim]), strict=False):
        torch.mul(keys[row : row + _BAND, None], keys[None, row:], out=band.view(-1, dim - row, count))
    out[-dim:] = keys
    return out


def _factors(mean: Float[Tensor, "C D"], covariance: Float[Tensor, "C D D"], scaling: float) -> Float[Tensor, "C P"]:
    """What each of `_products` is multiplied by."""
    dim = mean.shape[1]
    sizes = _band_sizes(dim)
    factors = mean.new_empty(len(mean), sum(sizes) + dim)
    for row, flat in zip(range(0, dim, _BAND), factors.split([*sizes, dim], dim=1), strict=False):
        band = flat.view(len(mean), -1, dim - row)
        torch.mul(covariance[:, row : row + _BAND, row:], 0.5 * scaling**2, out=band)
        # What lies right of the band's own square stands for its mirror image too.
        band[:, :, _BAND:] *= 2
    torch.mul(mean, scaling, out=factors[:, -dim:])
    return factors


def _band_sizes(dim: int) -> list[int]:
    """How many products the bands of a matrix of `dim` rows hold."""
    return [min(_BAND, dim - row) * (dim - row) for row in range(0, dim, _BAND)]
