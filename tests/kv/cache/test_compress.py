"""Reading a long text under eviction, then asking."""

import pytest
import torch

import keepmap
from keepmap.errors import InputError
from keepmap.kv.cache.compress import compress
from keepmap.kv.cache.evicting import evicting
from tests.families import build, tokens


def test_reading_is_evict_and_questions_go_on_from_it() -> None:
    model, ids, options = build("llama"), tokens(1300), {"density": 0.2, "window": 20}
    shares: list[float] = []
    cache = compress(model, ids, "h2o", **options, progress=shares.append)
    assert cache.keep_map() == keepmap.evict(model, ids, "h2o", **options).keep_map
    assert shares == [512 / 1300, 1024 / 1300, 1.0] and cache.report().peak_nbytes < cache.report().full_nbytes
    for seed in (1, 2):
        question = tokens(6, seed)
        with torch.no_grad(), evicting(model):
            logits = model(question[None], past_key_values=cache.fork()).logits[0]
        both = keepmap.evict(model, torch.cat([ids, question]), "h2o", **options)
        torch.testing.assert_close(logits, both.logits[-6:], rtol=1e-6, atol=1e-9)


def test_what_scores_ahead_reads_more_at_once() -> None:
    shares: list[float] = []
    compress(build("llama"), tokens(1100), "random", density=0.2, window=20, progress=shares.append)
    assert shares == [1024 / 1100, 1.0]


@pytest.mark.parametrize(
    "options",
    [
        {"budget": 5, "budget_by": "pyramid", "n_sink": 2, "window": 7, "chunk_size": 9, "seed": 4},
        {"threshold": 0.6, "n_sink": 1, "window": 3, "mode": "chunked", "chunk_size": 4, "seed": 5},
    ],
    ids=str,
)
def test_every_option_decides(options: dict[str, float]) -> None:
    model, ids = build("llama"), tokens(60)
    assert (
        compress(model, ids, "random", **options).keep_map() == keepmap.evict(model, ids, "random", **options).keep_map
    )


@pytest.mark.parametrize(
    ("options", "message"), [({"window": -1}, "window"), ({"density": 0.1, "budget": 3}, "one rule")], ids=str
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compress(build("llama"), tokens(9), "h2o", **options)
    with pytest.raises(InputError, match="inputs"):
        compress(build("llama"), [], "h2o")
