"""Methods that look ahead, against decoding in which what comes later is found by doing it again, layer by layer."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import keepmap
from keepmap.kv.method import methods
from keepmap.kv.methods.kvzip import KVzip
from keepmap.kv.methods.oracle import Oracle
from keepmap.kv.tasks.plan import plan_tasks
from tests.families import build, tokens
from tests.reference.decode import Decoded, decode
from tests.reference.once import decode_once
from tests.reference.rules import Rule
from tests.reference.scores import Score, Seen, streaming_llm

ORACLES = {"kvzip": KVzip, "oracle": Oracle}
N, CONTEXT = 44, 26


def decoded(family: str, score: Score, rule: Rule, context: int | None, growing: bool) -> Decoded:
    """As the conformance tests have it: token by token, or cut once."""
    if context is not None:
        return decode_once(build(family), tokens(N), score, rule, context)
    return decode(build(family), tokens(N), score, rule, 1, growing)


def paid_later(queries: Tensor, keys: Tensor, scaling: float) -> Tensor:
    """[G, N, N]: what the queries after step t pay to position j, of [t, j]; the mean over the group."""
    group, n = queries.shape[0] // keys.shape[0], queries.shape[1]
    logits = scaling * queries.double() @ keys.double().repeat_interleave(group, 0).transpose(1, 2)
    paid = logits.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf).softmax(dim=-1)
    mean = paid.unflatten(0, (-1, group)).mean(dim=1)
    return torch.stack([mean[:, step + 1 :].sum(dim=1) for step in range(n)], dim=1)


def by_doing_it_again(family: str, rule: Rule, context: int | None) -> Decoded:
    """Each time one more layer knows what its later queries are: those below it have decided as they will."""
    known: dict[int, Tensor] = {}
    for layer in range(build(family).config.num_hidden_layers + 1):
        last: dict[int, Seen] = {}

        def score(seen: Seen, head: int, j: int, last: dict[int, Seen] = last) -> float:
            last[seen.layer] = seen
            return float(known[seen.layer][head, seen.step, j]) if seen.layer in known else 0.0

        result = decoded(family, score, rule, context, growing=True)
        if context is not None:
            last = seen_after(family, result.expires, context)
        if layer in last:
            seen = last[layer]
            known[layer] = paid_later(seen.queries, seen.keys, seen.scaling)
    return result


def seen_after(family: str, expires: Tensor, context: int) -> dict[int, Seen]:
    """What each layer has seen at the end of a text whose context was cut once: no score is asked for there."""
    last: dict[int, Seen] = {}

    def replay(seen: Seen, head: int, j: int) -> float:
        last[seen.layer] = seen
        return float(expires[seen.layer, head, j])

    decode(build(family), tokens(N), replay, Rule(threshold=N, n_sink=0, window=0), context, growing=False)
    return last


@pytest.mark.parametrize(
    ("family", "options"),
    [("llama", {"density": 0.3}), ("gpt2", {"budget": 6, "n_sink": 0}), ("gpt2", {"threshold": 0.2})],
    ids=str,
)
def test_the_oracle_knows_what_its_layers_later_queries_pay(family: str, options: dict[str, float]) -> None:
    options = {"n_sink": 2, "window": 3} | options
    true = by_doing_it_again(family, Rule(**options), None)
    own = keepmap.evict(build(family), tokens(N), "oracle", **options).keep_map
    assert torch.equal(own.expires, true.expires) and torch.equal(own.held, true.held)
    torch.testing.assert_close(own.scores.double(), true.scores, rtol=1e-5, atol=1e-6)
    assert 0.1 < own.compressible_density() < 0.9


@pytest.mark.parametrize("by", ["head", "layer"])
def test_the_oracle_knows_what_comes_after_a_cut(by: str) -> None:
    options = {"density": 0.3, "n_sink": 2, "window": 3}
    true = by_doing_it_again("llama", Rule(**options, by=by), CONTEXT)
    own = keepmap.evict(
        build("llama"), tokens(N), "oracle", mode="once", context_length=CONTEXT, budget_by=by, **options
    ).keep_map
    assert torch.equal(own.expires, true.expires) and torch.equal(own.held, true.held)
    torch.testing.assert_close(own.scores.double(), true.scores, rtol=1e-5, atol=1e-6)


def test_where_all_layers_share_the_oracle_looks_at_the_whole_text_without_a_cut() -> None:
    options = {"density": 0.3, "n_sink": 2, "window": 3}
    seen = seen_after("llama", torch.full((2, 2, N), N), CONTEXT)
    paid = {layer: paid_later(at.queries, at.keys, at.scaling)[:, CONTEXT - 1] for layer, at in seen.items()}
    rule = Rule(**options, by="model")
    true = decoded("llama", lambda seen, head, j: float(paid[seen.layer][head, j]), rule, CONTEXT, growing=True)
    own = keepmap.evict(
        build("llama"), tokens(N), Oracle(), mode="once", context_length=CONTEXT, budget_by="model", **options
    )
    assert torch.equal(own.keep_map.expires, true.expires) and torch.equal(own.keep_map.held, true.held)


@pytest.mark.parametrize(("context", "by"), [(None, "head"), (CONTEXT, "head"), (CONTEXT, "model")])
def test_kvzip_reads_the_text_twice(context: int | None, by: str) -> None:
    options = {"density": 0.3, "n_sink": 2, "window": 3}
    first = tokens(N)[:context]
    n, keeps_all = len(first), Rule(threshold=-math.inf, n_sink=0, window=0)
    twice = decode(build("gpt_oss"), torch.cat([first, first]), streaming_llm, keeps_all, 2 * n, growing=False)
    most = twice.attention[:, :, n:, :n].unflatten(1, (2, -1)).amax(dim=(2, 3))  # [L, G, n]
    score = lambda seen, head, j: float(most[seen.layer, head, j])  # noqa: E731
    true = decoded("gpt_oss", score, Rule(**options, by=by), context, growing=False)
    where = {} if context is None else {"mode": "once", "context_length": context, "budget_by": by}
    own = keepmap.evict(build("gpt_oss"), tokens(N), "kvzip", **options, **where).keep_map
    assert torch.equal(own.expires, true.expires) and torch.equal(own.held, true.held)
    assert own.compressible_density() < 0.9


def test_a_text_that_does_not_fit_twice_is_refused() -> None:
    with pytest.raises(keepmap.InputError, match=r"a text of 600 tokens is read twice by kvzip, in 1,200 positions"):
        keepmap.evict(build("gpt2"), tokens(600), "kvzip")
    # Who asked for all methods did not ask for one that takes no such text; who named it did.
    options = {"density": 0.5, "window": 4}
    with pytest.raises(keepmap.ModelError, match="a text of 600 tokens is read twice by kvzip"):
        keepmap.compare(build("gpt2"), [tokens(600)], "kvzip", **options)


def test_a_tokenizer_says_how_to_ask_for_it() -> None:
    """With the instruction between the two readings, scores are others than without."""
    language_model = keepmap.load_language_model("tiny")
    alone = replace(language_model, tokenizer=None)
    ids = language_model.tokenizer("The code of river is 4821. " * 9)["input_ids"]
    scores = [keepmap.evict(model, torch.tensor(ids), "kvzip").keep_map.scores for model in (language_model, alone)]
    assert not torch.equal(*scores)


@pytest.mark.parametrize("name", ORACLES)
def test_no_cache_takes_one_and_every_table_marks_it(name: str) -> None:
    with pytest.raises(keepmap.InputError, match=f"a cache can have, got {name}, an oracle, which looks at what comes"):
        keepmap.EvictingCache(build("llama"), name)
    assert ORACLES[name].label.endswith("(looks ahead)") and not ORACLES[name].is_usual
    assert (ORACLES[name].__doc__ or "").startswith("ORACLE, which looks ahead: ")
    options = {"texts": None, "n_samples": 1, "length": 100, "n_sink": None, "window": 4, "mode": None, "chunk_size": 1}
    options |= {"question": "after", "gate": 0.0, "answers": "generated", "max_new_tokens": 1, "chat_template": False}
    plan = plan_tasks("niah_single_1", "all", 0.2, **options, seed=0, haystack=None, qa_file=None)
    assert name not in [method.key for method in plan.methods[0.2]]
    assert f"{name} (an oracle, which looks at what comes later)" in plan.left_out


def test_these_are_all_of_them() -> None:
    assert {name for name, method in methods().items() if method.needs == "future"} == set(ORACLES)
