"""KeyNorm: small keys first, and keys that are equal but for their rotation tie."""

import torch

from keepmap.kv.method import Rotation
from keepmap.kv.methods.key_norm import KeyNorm
from keepmap.kv.scoring.rotary import unrotated
from tests.kv.methods.layers import layer_input


def test_the_score_is_minus_the_norm_to_13_binary_digits():
    layer = layer_input()
    norms = layer.keys.norm(dim=-1)
    scores = KeyNorm().score(layer)
    torch.testing.assert_close(scores, -norms, rtol=2**-13, atol=0)
    mantissa = torch.frexp(scores).mantissa * 2**13
    assert torch.equal(mantissa, mantissa.round()) and not torch.equal(scores, -norms)


def test_rotated_keys_tie():
    keys = torch.randn(1, 1, 8, generator=torch.Generator().manual_seed(1)).expand(1, 200, 8)
    turned = unrotated(keys, Rotation(0.7 ** torch.arange(4), 1.0, False))
    assert len(turned.norm(dim=-1).unique()) > 1, "rounding tells them apart"
    assert len(KeyNorm().score(layer_input(200, 1, keys=turned)).unique()) == 1


def test_half_precision_keys_are_measured_in_float32():
    keys = (1 + torch.arange(64) / 1e4)[None, :, None].expand(1, 64, 8)
    assert len(keys.bfloat16().norm(dim=-1).unique()) < 3
    halves = keys.half()
    scores = KeyNorm().score(layer_input(64, 1, keys=halves))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, -halves.float().norm(dim=-1), rtol=2**-13, atol=0)
