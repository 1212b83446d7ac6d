"""Expiries that anybody decided: those of `evict` give its hidden states, others what they say."""

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.eviction.dense import dense
from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.replay import hidden_states_under
from keepmap.language_model import load_language_model
from tests.families import build, tokens


@pytest.fixture(scope="module")
def llama():
    return load_language_model(build("llama"))


def test_a_keep_map_gives_what_evict_computed(llama):
    eviction = evict(llama, tokens(50), "h2o", density=0.3, window=5)
    assert torch.equal(hidden_states_under(llama, tokens(50)[None], eviction.keep_map.expires), eviction.hidden_states)


def test_what_expires_is_not_seen_from_then_on(llama):
    expires = torch.full((2, 2, 40), 40)
    whole = hidden_states_under(llama, tokens(40), expires)
    torch.testing.assert_close(whole, dense(llama, tokens(40)))
    expires[0, 1, 12] = 20
    part = hidden_states_under(llama, tokens(40), expires)
    assert torch.equal(part[:20], whole[:20])
    assert bool((part[20:] != whole[20:]).any(dim=1).all())


@pytest.mark.parametrize(
    ("expires", "message"),
    [
        (torch.full((2, 2, 41), 41), r"\(2, 2, 41\)"),
        (torch.full((2, 2, 40), 41), r"expected `expires` to be in j\+1\.\.40"),
        (
            torch.full((2, 2, 40), 39),
            r"expected `expires` to be in j\+1\.\.40",
        ),  # the last position has to be seen by the last query
    ],
    ids=["shape", "too late", "too early"],
)
def test_expiries_that_no_decoding_gives_are_one_line(llama, expires, message):
    with pytest.raises(InputError, match=message):
        hidden_states_under(llama, tokens(40), expires)
