"""Insights into a language model, tested by deletion: a layer forgets a part of the text, and the rest is predicted."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.attention.request import Indices
from keepmap.attention.text import one_text
from keepmap.core.progress import Progress, part_of
from keepmap.errors import InputError
from keepmap.insight.coverage import SHARE
from keepmap.insight.deletions import at_random, by_pattern, by_share
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import GuideInsight, attention_rows, guide_insight, suggest
from keepmap.insight.verification import DRAWS, RULES, Compared, LeftOut, Trial, Verification, compared
from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.replay import hidden_states_under
from keepmap.kv.likelihood import measure_likelihood
from keepmap.language_model import LanguageModel

__all__ = ["SHORTEST_TEXT", "verify_texts"]

N_SINK = 4
SHORTEST_TEXT = 2 * (N_SINK + 3)
"""Tokens: the half that is profiled holds the sinks, the newest position, and something to choose from."""


def verify_texts(
    language_model: LanguageModel,
    texts: Sequence[Int[Tensor, "..."]],
    *,
    share: float = SHARE,
    draws: int = DRAWS,
    layers: Indices = None,
    suggested: Mapping[str, Suggestion] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Drop what the insights into each layer say can go, and as much at random, and predict how the texts go on.

    The first half of a text is profiled. Each layer's positions are then dropped from that layer alone, for all
    queries of the second half; costs are means over its predicted tokens, in nats. The sinks, the newest position of
    the half, and what a layer's own window hides anyway stay in both arms. Our verdict is one for each KV head, on the
    mean attention of its query heads, since they share what is kept; the guide's is one for the layer.

    The overall suggestion and the guide's (that of the last layer, as its document advises) then evict from the whole
    texts, against `random` with the same density, sinks and window.

    Args:
        texts: tokens of one text each, [N] or [1, N].
        share: of the attention that our verdicts keep.
        draws: random choices for each trial; their mean cost is compared.
        layers: whose insights are tested, all by default.
        suggested: what is tried on the whole texts, by rule ("guide", "ours"); by default, the first halves'.
        progress: called with the share of the work that is done.

    Raises:
        InputError: no texts, or one that is too short; and as in `profile_attention`.
    """
    if not texts:
        raise InputError("expected `contexts` to be one or more texts, got none")
    tokens = [one_text(text, language_model) for text in texts]
    for number, text in enumerate(tokens):
        if len(text) < SHORTEST_TEXT:
            raise InputError(
                f"expected `contexts` of {SHORTEST_TEXT} tokens or more, half to profile and half to predict, got text "
                f"{number} of {len(text)}"
            )
    profiles = [
        profile_attention(language_model, text[: len(text) // 2], layers=layers, n_sink=N_SINK, hold=False)
        for text in tokens
    ]
    of = max(one.shape[2] for one in profiles) - N_SINK
    guides = [
        guide_insight([one.guide_statistics(layer) for one in profiles], of=of, n_sink=N_SINK)
        for layer in profiles[0].layers
    ]
    suggested = {"guide": guides[-1].suggested, "ours": suggest(profiles, share=share)} if suggested is None else suggested
    trials: list[Trial] = []
    left_out = LeftOut()
    for sample, (text, profile) in enumerate(zip(tokens, profiles, strict=True)):
        of_text = _Text(language_model, text, profile, sample, guides, share, draws, seed)
        for at in range(profile.shape[0]):
            trials += of_text.trials(at, left_out)
            part_of(progress, sample, len(tokens) + 1)((at + 1) / profile.shape[0])
    skipped, results = list(left_out.lines(len(tokens))), list[Compared]()
    for rule, made in suggested.items():
        if made.options["density"] < 1:
            results += _compared(language_model, tokens, rule, made, seed)
        else:
            skipped.append(f"overall, {rule}: {made.keep} of {made.of} positions are kept: nothing is dropped")
    part_of(progress, len(tokens), len(tokens) + 1)(1.0)
    return Verification(
        host="language model",
        costs=("kl", "nll"),
        trials=tuple(trials),
        skipped=tuple(skipped),
        suggestion=suggested["ours"],
        compared=tuple(results),
        n_samples=len(tokens),
        n_draws=draws,
        seed=seed,
    )


class _Text:
    """One text: what each rule keeps of its first half, and what that costs in the second."""

    def __init__(
        self,
        language_model: LanguageModel,
        text: Int[Tensor, " N"],
        profile: AttentionProfile,
        sample: int,
        guides: Sequence[GuideInsight],
        share: float,
        draws: int,
        seed: int,
    ) -> None:
        self._model, self._text, self._profile, self._sample = language_model, text, profile, sample
        self._guides, self._share, self._draws, self._seed = guides, share, draws, seed
        self._half, n = len(text) // 2, len(text)
        self._full = torch.full((language_model.n_layers, language_model.n_kv_heads, n), n)
        self._reference = hidden_states_under(language_model, text, self._full)
        self._nll = self._measured(self._reference)[1]

    def trials(self, at: int, left_out: LeftOut) -> list[Trial]:
        """One layer's."""
        layer, found = self._profile.layers[at], []
        for rule in RULES:
            patterns, kept, stays = self._chosen(at, rule)
            free = int((~stays).sum()) * len(kept)
            if left_out.notes(layer, rule, int(kept.sum()), free):
                continue
            rng = np.random.default_rng([self._seed, self._sample, layer, RULES.index(rule)])
            cost = self._cost(layer, kept | stays)
            random = [self._cost(layer, at_random(kept, stays, rng) | stays) for _ in range(self._draws)]
            mean = {name: float(np.mean([one[name] for one in random])) for name in cost}
            pattern = max(sorted(set(patterns)), key=patterns.count)
            found.append(
                Trial(
                    layer=layer,
                    sample=self._sample,
                    group=self._sample,
                    rule=rule,
                    pattern=pattern,
                    kept=int(kept.sum()),
                    of=free,
                    cost=cost,
                    random=mean,
                )
            )
        return found

    def _chosen(self, at: int, rule: str) -> tuple[list[str], Bool[Tensor, "G P"], Bool[Tensor, " P"]]:
        """Patterns and what is kept, per KV head; and what stays in any case."""
        heads, kv_heads = self._profile.shape[1], self._model.n_kv_heads
        kept = torch.zeros(kv_heads, self._half, dtype=torch.bool)
        stays = torch.zeros(self._half, dtype=torch.bool)
        patterns = []
        for kv_head in range(kv_heads):
            own = [head for head in range(heads) if rule == "guide" or self._profile.kv_heads[head] == kv_head]
            query = self._half - 1 if rule == "guide" else None
            row, given, first = attention_rows(self._profile, at, own, query)
            stays[:first] = stays[-1] = True
            if rule == "guide":
                choice = by_pattern(self._guides[at].pattern, self._guides[at].suggested.keep, row, stays[first:])
            else:
                choice = by_share(row, given, self._share, stays[first:])
            kept[kv_head, first:] = choice.kept
            patterns.append(choice.pattern)
        return patterns, kept, stays

    def _cost(self, layer: int, kept: Bool[Tensor, "G P"]) -> dict[str, float]:
        n = len(self._text)
        expires = self._full.clone()
        expires[layer, :, : self._half] = torch.where(kept, n, self._half)
        kl, nll = self._measured(hidden_states_under(self._model, self._text, expires))
        return {"kl": kl, "nll": nll - self._nll}

    def _measured(self, hidden_states: Float[Tensor, "N hidden"]) -> tuple[float, float]:
        later = slice(self._half, None)  # the first query that has forgotten
        found = measure_likelihood(
            self._model.head,
            self._model.vocab_size,
            self._text[later],
            hidden_states[later],
            self._reference[later],
            f"text {self._sample} after a deletion",
        )
        return found.kl / found.n_predicted, found.nll / found.n_predicted


def _compared(
    language_model: LanguageModel, tokens: Sequence[Int[Tensor, "..."]], rule: str, made: Suggestion, seed: int
) -> list[Compared]:
    """An overall suggestion against random, of each cost; the whole cache costs no KL."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ("whole", made.name, "random")}
    for number, text in enumerate(tokens):
        n = len(text)
        full = torch.full((language_model.n_layers, language_model.n_kv_heads, n), n)
        reference = hidden_states_under(language_model, text, full)
        arms = {"whole": reference}
        for method in (made.name, "random"):
            arms[method] = evict(
                language_model,
                text,
                method,
                density=made.options["density"],
                n_sink=int(made.options["n_sink"]),
                window=int(made.options["window"]),
                seed=seed,
            ).hidden_states
        for method, hidden_states in arms.items():
            one = measure_likelihood(
                language_model.head, language_model.vocab_size, text, hidden_states, reference, f"text {number}"
            )
            found[method].append({"kl": one.kl / one.n_predicted, "nll": one.nll / one.n_predicted})
    results = []
    for cost in ("kl", "nll"):
        whole, suggested, random = (np.array([one[cost] for one in found[arm]]) for arm in found)
        results.append(compared(rule, made, cost, whole, suggested, random, random - suggested))
    return results
