"""The product of everything that a run of the engine depends on, and both sides of one case."""

import functools
import math
import random
from dataclasses import dataclass, replace
from itertools import product

import torch
from torch import Tensor

from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.eviction import Eviction
from keepmap.kv.method import Method
from keepmap.kv.methods.caote import CAOTE
from keepmap.kv.methods.criticalkv import CriticalKV
from keepmap.kv.methods.defensivekv import DefensiveKV
from keepmap.kv.methods.kvzap import KVzap
from keepmap.kv.methods.lagkv import LagKV
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import FAMILIES, build, tokens
from tests.reference import scores, wrappers
from tests.reference.decode import Decoded, decode
from tests.reference.once import decode_once
from tests.reference.rules import Rule
from tests.reference.scores import Score, Seen

__all__ = [
    "DECIDED",
    "LATER",
    "METHODS",
    "Case",
    "by_engine",
    "by_reference",
    "family_model",
    "instance",
    "model_of",
    "reviewed",
    "sampled",
    "whole_product",
]

DECIDED = ("random", "streaming_llm", "key_norm", "kvzap", "observed_attention", "h2o", "expected_attention")
REVIEWED = ("snapkv", "tova", "keydiff", "lagkv", "cur", "compactor")
"""Score what is held anew. They go one way through the engine, so that each family meets two of them."""
METHODS = (*DECIDED, *REVIEWED)
LATER = (
    *("value_norm", "lru", "dropkv", "r_kv", "expected_attention_anew"),
    *("criticalkv", "caote", "defensivekv"),
)
"""Go the ways of those before them; test_later_methods.py has their cases."""
"""The others are these under another protection or threshold (random_validation, kvzap_no_sink) or none (baseline)."""

RULES = ("threshold", "density", "budget")
LAG, QUERIES = 6, 4
WHOLE = 1_000_000  # a chunk that is longer than every text


@dataclass(frozen=True)
class Case:
    """One run."""

    family: str
    method: str
    rule: str
    chunk_size: int
    window: int
    n_sink: int
    n: int
    seed: int = 0
    dtype: torch.dtype = torch.float64
    context_length: int | None = None
    by: str = "head"
    interval: int = 1

    def __str__(self) -> str:
        chunk = "N" if self.chunk_size == WHOLE else self.chunk_size
        if self.context_length is not None:
            chunk = f"once{self.context_length}"
        by = "" if self.by == "head" else f"-{self.by}"
        by += "" if self.interval == 1 else f"-every{self.interval}"
        return f"{self.family}-{self.method}-{self.rule}{by}-C{chunk}-w{self.window}-s{self.n_sink}-n{self.n}"

    def shared(self) -> str | list[list[float]]:
        """Who shares the budget: a name, or the table that is meant."""
        if self.by != "table":
            return self.by
        layers, heads = model_of(self).n_layers, model_of(self).n_kv_heads
        return [[(3 * layer + 2 * head + 1) % 5 / 2 for head in range(heads)] for layer in range(layers)]

    def options(self) -> dict[str, float | int]:
        """The rule's value, such that some entries go and some stay."""
        if self.rule == "density":
            return {"density": (0.1, 0.2, 0.5, 0.07)[self.seed % 4]}
        if self.rule == "budget":
            return {"budget": (3, 11, 0)[self.seed % 3]}
        return {"threshold": self._threshold()}

    def _threshold(self) -> float:
        """About the median of what is decided (measured once; it need not be exact)."""
        received = {0: 0.1, 5: 0.05, 128: 0.004}[self.window]
        return {
            "random": 0.6,
            "streaming_llm": 1.0,
            "key_norm": self._median(scores.key_norm),
            "value_norm": self._median(scores.value_norm),
            "kvzap": 0.0,
            "observed_attention": received,
            "h2o": received * (self.window + 1),
            "expected_attention": 0.5,
            "snapkv": received,
            "tova": received,
            "keydiff": 0.0,
            "lagkv": 0.4,
            "cur": 0.004,
            "compactor": 0.2,
            "lru": 40.0,
            "dropkv": received,
            "r_kv": -0.02,
            "expected_attention_anew": 0.5,
            "criticalkv": received,
            "caote": received,
            "defensivekv": 0.2,
        }[self.method]

    def _median(self, score: Score) -> float:
        rule = Rule(threshold=-math.inf, n_sink=0, window=0)
        decoded = decode(model_of(self).model, tokens(64, self.seed), score, rule, WHOLE, growing=False)
        lower, upper = decoded.scores.flatten().sort().values[[63, 64]].tolist()
        return (lower + upper) / 2


def model_of(case: Case) -> LanguageModel:
    """The model of its family."""
    return family_model(case.family, case.dtype)


@functools.cache
def family_model(family: str, dtype: torch.dtype) -> LanguageModel:
    """One for all cases: a run leaves a model as it was."""
    return load_language_model(build(family, dtype))


def whole_product() -> list[Case]:
    """Every family x method x rule x chunk x window x sinks; the length follows from the rest."""
    axes = product(FAMILIES, METHODS, RULES[:2], (1, 7, 128, WHOLE), (0, 5, 128), (0, 4))
    return [_with_length(Case(*axis, n=0, seed=seed)) for seed, axis in enumerate(axes)]


def sampled() -> list[Case]:
    """Every pair of family and method once (of those that score anew two a family), everything else drawn."""
    draw = random.Random(20_240_817)
    cases = []
    for seed, (family, method) in enumerate([*product(FAMILIES, DECIDED), *reviewed()]):
        rule, chunk = draw.choice(RULES), draw.choice((1, 1, 7, 128, WHOLE))
        window, n_sink = draw.choice((0, 5, 128)), draw.choice((0, 4))
        cases.append(_with_length(Case(family, method, rule, chunk, window, n_sink, n=0, seed=seed)))
    return cases


def reviewed() -> list[tuple[str, str]]:
    """Every family with two of the methods that score anew."""
    return [(family, REVIEWED[(2 * at + more) % 6]) for at, family in enumerate(FAMILIES) for more in (0, 1)]


def _with_length(case: Case) -> Case:
    n = case.window + 40 + case.seed * 7 % 30
    if case.chunk_size == 128:
        n += 150
    if case.method == "expected_attention" and case.seed % 2 == 0:
        n = max(n, 140 + case.seed % 60)  # beyond the first refresh of its statistics
    return replace(case, n=n)


def surrogate(heads: int) -> KVzap:
    """A KVzap whose surrogate is a random function of (layer, hidden state)."""

    def score(layer: int, hidden: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(layer)
        weights = torch.randn(hidden.shape[-1], heads, generator=generator, dtype=torch.float64)
        return torch.tanh(hidden.double() @ weights / 4)

    return KVzap(score)


def instance(name: str, heads: int) -> str | Method:
    """The method, of sizes that matter in a short text; its name where the default ones do."""
    return {
        "kvzap": surrogate(heads),
        "lagkv": LagKV(LAG),
        "criticalkv": CriticalKV("tova"),
        "caote": CAOTE("tova"),
        "defensivekv": DefensiveKV(queries=QUERIES),
    }.get(name, name)


def by_engine(case: Case) -> Eviction:
    """keepmap's answer."""
    language_model = model_of(case)
    method = instance(case.method, language_model.n_kv_heads)
    return evict(
        language_model,
        tokens(case.n, case.seed),
        method,
        **case.options(),
        budget_by=None if case.rule == "threshold" else case.shared(),
        n_sink=case.n_sink,
        window=case.window,
        mode=None if case.context_length is None else "once",
        chunk_size=case.chunk_size,
        context_length=case.context_length,
        interval=case.interval,
        seed=case.seed,
    )


def by_reference(case: Case, decided_by: Tensor | None = None) -> Decoded:
    """The truth. With `decided_by` [L, G, N] these scores decide, and the true ones are only told."""
    model, layers, heads = model_of(case).model, model_of(case).n_layers, model_of(case).n_kv_heads
    rule = Rule(**case.options(), n_sink=case.n_sink, window=case.window, by=case.shared())
    score = {
        "random": scores.random(layers, heads, case.n, case.seed),
        "streaming_llm": scores.streaming_llm,
        "key_norm": scores.key_norm,
        "kvzap": scores.kvzap(surrogate(heads).surrogate),
        "observed_attention": scores.observed_attention,
        "h2o": scores.h2o,
        "expected_attention": scores.expected_attention,
        "snapkv": scores.snapkv,
        "tova": scores.tova,
        "keydiff": scores.keydiff,
        "lagkv": scores.lagkv(LAG),
        "cur": scores.cur,
        "compactor": scores.compactor,
        "lru": scores.lru,
        "dropkv": scores.dropkv,
        "r_kv": scores.r_kv,
        "expected_attention_anew": scores.expected_attention_anew,
        "value_norm": scores.value_norm,
        "criticalkv": wrappers.criticalkv(rule, scores.tova, 1),
        "caote": wrappers.caote(scores.tova, 1),
        "defensivekv": wrappers.defensivekv(rule, QUERIES),
    }[case.method]
    ids, growing = tokens(case.n, case.seed), case.method in scores.GROWING
    if case.context_length is not None:
        assert decided_by is None, "ties are for the other modes"
        return decode_once(model, ids, score, rule, case.context_length)
    if decided_by is None:
        return decode(model, ids, score, rule, case.chunk_size, growing, case.interval)
    assert not growing, "a growing score decides by many values, and a KeepMap tells the last"
    true = torch.zeros(decided_by.shape, dtype=torch.float64)

    def decide(seen: Seen, head: int, j: int) -> float:
        true[seen.layer, head, j] = score(seen, head, j)
        return float(decided_by[seen.layer, head, j])

    return replace(decode(model, ids, decide, rule, case.chunk_size, growing, case.interval), scores=true)
