"""Insights into a language model, tested by deletion: a layer forgets a part of the text, and the rest is predicted."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.attention import AttentionProfile, Indices, one_text, profile_attention
from keepmap.core.progress import Progress, part_of
from keepmap.core.runs.units import Once, Recorded, every_time
from keepmap.errors import InputError
from keepmap.insight.coverage import SHARE
from keepmap.insight.deletions import Deletions, LayerChoice, at_random, by_kv_head
from keepmap.insight.guide import guide_insight
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.text_subject import METHODS, MethodSuggestion, TextSubject
from keepmap.insight.verdicts import suggest
from keepmap.insight.verification import (
    DRAWS,
    RULES,
    Compared,
    LeftOut,
    Trial,
    Verification,
    as_rule,
    compared,
)
from keepmap.kv.eviction.evict import evict
from keepmap.kv.eviction.replay import hidden_states_under
from keepmap.kv.likelihood import measure_likelihood
from keepmap.kv.method import Method
from keepmap.language_model import LanguageModel

__all__ = ["N_SINK", "SHORTEST_TEXT", "ForgetfulText", "n_passes", "verify_texts"]

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
    recorded: Recorded | None = None,
) -> Verification:
    """Drop what the insights into each layer say can go, and as much at random, and predict how the texts go on.

    The first half of a text is profiled. Each layer's positions are then dropped from that layer alone, for all
    queries of the second half; costs are means over its predicted tokens, in nats. The sinks, the newest position of
    the half, and what a layer's own window hides anyway stay in both arms. Our verdict is one for each KV head, on the
    mean attention of its query heads, since they share what is kept; the guide's is one for the layer.

    The overall suggestion and the guide's (that of the last layer, as its document advises) then evict from the whole
    texts, against `random` and a rival with the same density, sinks and window: `streaming_llm`, or
    `expected_attention` where that is suggested.

    Args:
        texts: tokens of one text each, [N] or [1, N].
        share: of the attention that our verdicts keep.
        draws: random choices for each trial; their mean cost is compared.
        layers: whose insights are tested, all by default.
        suggested: what is tried on the whole texts, by rule ("guide", "ours"); by default, the first halves'.
        progress: called with the share of the work that is done.
        recorded: what keeps the costs of each layer of each text, and of each suggestion on each text.

    Raises:
        InputError: no texts, or one that is too short; and as in `profile_attention`.
    """
    if not texts:
        raise InputError("expected `contexts` to be one or more texts, got none")
    tokens = [one_text(text, language_model) for text in texts]
    for number, text in enumerate(tokens):
        if len(text) < SHORTEST_TEXT:
            raise InputError(
                f"expected `contexts` to have {SHORTEST_TEXT} tokens or more, half to profile and half to predict, got "
                f"text {number} of {len(text)}"
            )
    profiles = [
        profile_attention(language_model, text[: len(text) // 2], layers=layers, n_sink=N_SINK, hold=False)
        for text in tokens
    ]
    subject = TextSubject(N_SINK)
    of = subject.positions(profiles)
    guides = [
        guide_insight([profile.guide_statistics(layer) for profile in profiles], subject=subject, of=of)
        for layer in profiles[0].layers
    ]
    deletions = Deletions(guides, share, draws, seed)
    if suggested is None:
        suggested = {"guide": guides[-1].suggested, "ours": suggest(profiles, share=share)}
    tried = {as_rule(rule): suggestion for rule, suggestion in suggested.items()}
    once = every_time if recorded is None else recorded(_units(len(tokens), profiles[0].layers, tried))
    trials: list[Trial] = []
    left_out = LeftOut()
    for sample, (text, profile) in enumerate(zip(tokens, profiles, strict=True)):
        # Where all of a text is known already, its own pass is not run.
        forgetful = cache(partial(ForgetfulText, language_model, text, sample))
        for at in range(profile.shape[0]):
            trials += _trials(forgetful, sample, profile, at, deletions, left_out, once)
            part_of(progress, sample, len(tokens) + 1)((at + 1) / profile.shape[0])
    skipped, results = list(left_out.lines(len(tokens))), list[Compared]()
    for rule, suggestion in tried.items():
        if _drops(suggestion):
            results += _compared(language_model, tokens, rule, suggestion, seed, once)
        else:
            kept = f"{suggestion.keep} of {suggestion.of}"
            skipped.append(f"overall, {rule}: {kept} positions are kept: nothing is dropped")
    part_of(progress, len(tokens), len(tokens) + 1)(1.0)
    return Verification(
        host=subject.host,
        costs=subject.costs,
        trials=tuple(trials),
        skipped=tuple(skipped),
        suggestion=tried["ours"],
        compared=tuple(results),
        n_samples=len(tokens),
        n_draws=draws,
        seed=seed,
    )


def _drops(suggestion: Suggestion) -> bool:
    return suggestion.options["density"] < 1


def _units(texts: int, layers: Sequence[int], tried: Mapping[str, Suggestion]) -> list[str]:
    """What the pieces of work are called whose costs may be kept."""
    trials = [_trial_unit(sample, layer) for sample in range(texts) for layer in layers]
    rules = [rule for rule, suggestion in tried.items() if _drops(suggestion)]
    parts = [part for rule in rules for part in (rule, _rival_part(rule))]
    return [*trials, *(_overall_unit(sample, part) for part in parts for sample in range(texts))]


def _trial_unit(sample: int, layer: int) -> str:
    return f"verification/sample{sample}_layer{layer}.json"


def _overall_unit(sample: int, part: str) -> str:
    return f"verification/sample{sample}_{part}.json"


def _rival_part(rule: str) -> str:
    return f"{rule}_rival"


def n_passes(texts: int, layers: int, draws: int = DRAWS) -> int:
    """How many passes over a text `verify_texts` takes at most: for each rule its own deletion and the random ones.

    >>> n_passes(texts=5, layers=2, draws=8)
    235
    """
    return texts * (1 + layers * len(RULES) * (1 + draws) + len(RULES) * 5)


class ForgetfulText:
    """A text whose second half is predicted while one layer forgets a part of the first.

    Attributes:
        sample: its number, from 0.
    """

    def __init__(self, language_model: LanguageModel, text: Int[Tensor, " N"], sample: int = 0) -> None:
        self.sample = sample
        self._model, self._text, self._half = language_model, text, len(text) // 2
        self._full = torch.full((language_model.n_layers, language_model.n_kv_heads, len(text)), len(text))
        self._reference = hidden_states_under(language_model, text, self._full)
        self._nll = self._likelihood(self._reference)[1]

    def cost(self, layer: int, kept: Bool[Tensor, "G P"]) -> dict[str, float]:
        """By name, in nats per predicted token: what it costs that each KV head of the layer keeps only these.

        Args:
            kept: over the positions of the first half.
        """
        expires = self._full.clone()
        expires[layer, :, : self._half] = torch.where(kept, len(self._text), self._half)
        kl, nll = self._likelihood(hidden_states_under(self._model, self._text, expires))
        return {"kl": kl, "nll": nll - self._nll}

    def _likelihood(self, hidden_states: Float[Tensor, "N hidden"]) -> tuple[float, float]:
        """KL against the whole, and NLL, per predicted token of the second half."""
        later = slice(self._half, None)  # the first query that has forgotten
        likelihood = measure_likelihood(
            self._model.head,
            self._model.vocab_size,
            self._text[later],
            hidden_states[later],
            self._reference[later],
            f"text {self.sample} after a deletion",
        )
        return likelihood.kl / likelihood.n_predicted, likelihood.nll / likelihood.n_predicted


def _trials(
    text: Callable[[], ForgetfulText],
    sample: int,
    profile: AttentionProfile,
    at: int,
    deletions: Deletions,
    left_out: LeftOut,
    once: Once,
) -> list[Trial]:
    """The trials of one layer (by its place in the profile), one for each rule that drops something."""
    layer, choices = profile.layers[at], dict[str, LayerChoice]()
    for rule in RULES:
        choice = by_kv_head(profile, at, rule, deletions)
        if not left_out.notes(layer, rule, int(choice.kept.sum()), _free(choice)):
            choices[rule] = choice

    def work() -> dict[str, Arms]:
        return {rule: _arms(text(), layer, rule, choice, deletions) for rule, choice in choices.items()}

    costs = once(_trial_unit(sample, layer), work)
    return [
        Trial(
            layer=layer,
            sample=sample,
            group=sample,
            rule=rule,
            pattern=max(sorted(set(choice.patterns)), key=choice.patterns.count),
            kept=int(choice.kept.sum()),
            of=_free(choice),
            **costs[rule],
        )
        for rule, choice in choices.items()
    ]


Arms = dict[str, dict[str, float]]
"""Of a trial, "cost" and "random"; each has costs by their names."""


def _arms(text: ForgetfulText, layer: int, rule: str, choice: LayerChoice, deletions: Deletions) -> Arms:
    kept, stays = choice.kept, choice.stays
    rng = deletions.generator(text.sample, layer, rule)
    cost = text.cost(layer, kept | stays)
    random = [text.cost(layer, at_random(kept, stays, rng) | stays) for _ in range(deletions.draws)]
    return {"cost": cost, "random": {name: float(np.mean([costs[name] for costs in random])) for name in cost}}


def _free(choice: LayerChoice) -> int:
    """How many entries may go, over KV heads."""
    return int((~choice.stays).sum()) * len(choice.kept)


def _compared(
    language_model: LanguageModel,
    tokens: Sequence[Int[Tensor, "..."]],
    rule: str,
    tried: Suggestion,
    seed: int,
    once: Once,
) -> list[Compared]:
    """An overall suggestion against random and its rival, of each cost; the whole cache costs no KL."""
    assert isinstance(tried, MethodSuggestion)
    rival = METHODS["uniform" if tried.name == METHODS["recency"].name else "recency"].name
    arms = {"whole": None, "suggested": tried.method(), "random": "random"}
    costs = [
        once(_overall_unit(number, rule), partial(_costs_of, language_model, text, number, tried, arms, seed))
        for number, text in enumerate(tokens)
    ]
    beside = [
        once(
            _overall_unit(number, _rival_part(rule)),
            partial(_costs_of, language_model, text, number, tried, {rival: rival}, seed),
        )[rival]
        for number, text in enumerate(tokens)
    ]
    results = []
    for unit in TextSubject.costs:
        values = {arm: np.array([of_text[arm][unit] for of_text in costs]) for arm in arms}
        of_rival = (rival, np.array([of_text[unit] for of_text in beside]))
        results.append(compared(rule, tried, unit, **values, rival=of_rival, more_is_better=False))
    return results


def _costs_of(
    language_model: LanguageModel,
    text: Int[Tensor, "..."],
    number: int,
    tried: MethodSuggestion,
    arms: Mapping[str, Method | str | None],
    seed: int,
) -> Arms:
    """What a text costs whole (None), and with methods at the suggestion's density, sinks and window."""
    costs: Arms = {}
    full = torch.full((language_model.n_layers, language_model.n_kv_heads, len(text)), len(text))
    whole = hidden_states_under(language_model, text, full)
    for arm, method in arms.items():
        hidden_states = whole
        if method is not None:
            hidden_states = evict(
                language_model,
                text,
                method,
                density=tried.density,
                n_sink=tried.n_sink,
                window=tried.window,
                seed=seed,
            ).hidden_states
        likelihood = measure_likelihood(
            language_model.head, language_model.vocab_size, text, hidden_states, whole, f"text {number}"
        )
        n = likelihood.n_predicted
        costs[arm] = {"kl": likelihood.kl / n, "nll": likelihood.nll / n}
    return costs
