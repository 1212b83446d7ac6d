"""What later queries pay, and a second reading, against whole matrices of attention."""

import pytest
import torch
from torch import Tensor

from keepmap.kv.passes import LayerCall, run
from keepmap.kv.scoring.ahead import Ahead, strongest
from keepmap.language_model import load_language_model
from tests.families import build, tokens
from tests.reference.decode import decode
from tests.reference.rules import Rule
from tests.reference.scores import streaming_llm

KEEPS_ALL = Rule(threshold=float("-inf"), n_sink=0, window=0)


def calls_and_attention(family: str, n: int) -> tuple[dict[int, LayerCall], Tensor]:
    """Each layer's call, and the attention [L, G, N, N] of the model itself, the mean over the group."""
    language_model = load_language_model(build(family))
    whole = decode(build(family), tokens(n), streaming_llm, KEEPS_ALL, n, growing=False).attention
    calls: dict[int, LayerCall] = {}

    def attend(call: LayerCall) -> Tensor:
        calls[call.layer] = call
        group = call.queries.shape[0] // call.keys.shape[0]
        return whole[call.layer] @ call.values.repeat_interleave(group, 0)

    run(language_model.model, language_model.body, tokens(n), attend)
    return calls, whole.unflatten(1, (language_model.n_kv_heads, -1))


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "gemma2"])
def test_later_attention_is_what_is_left(family: str) -> None:
    n = 150  # more than one block of queries
    calls, whole = calls_and_attention(family, n)
    paid = whole.mean(dim=2)
    for layer, call in calls.items():
        ahead = Ahead(call)
        for step in (0, 0, 5, 127, 128, 148):
            torch.testing.assert_close(ahead.after(step), paid[layer, :, step + 1 :].sum(dim=1), rtol=0, atol=1e-9)
        assert not ahead.after(n - 1).any()


def test_the_strongest_is_that_of_any_head_and_query() -> None:
    calls, whole = calls_and_attention("gpt_oss", 150)
    for layer, call in calls.items():
        own = strongest(call, range(60, 150), range(10, 50))
        torch.testing.assert_close(own, whole[layer, :, :, 60:, 10:50].amax(dim=(1, 2)), rtol=0, atol=1e-9)
