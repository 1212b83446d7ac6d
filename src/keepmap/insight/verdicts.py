"""What a profile says about what can be dropped: a verdict for each head, and one suggestion for all of them.

The guide's recommendation for a layer, `guide_insight`, stands beside it in keepmap.insight.guide.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.attention.profile import AttentionProfile
from keepmap.core.arguments import shown
from keepmap.errors import InputError
from keepmap.insight.coverage import SHARE, Coverage, coverage, pattern_of
from keepmap.insight.guide import GuideInsight, guide_insight
from keepmap.insight.suggestion import Suggestion, for_agent, for_language_model

__all__ = ["GuideInsight", "Verdict", "attention_rows", "guide_insight", "suggest", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """What one head attends to, independent of the length, and what would keep it.

    Attributes:
        layer, head: the model's indices.
        pattern: "recency", "uniform", "sparse" or "sinks"; see `keepmap.insight.coverage.pattern_of`.
        numbers: what decided it.
        suggestion: how many positions stay, and a line of code.
    """

    layer: int
    head: int
    pattern: str
    numbers: Coverage
    suggestion: Suggestion

    @property
    def lines(self) -> tuple[str, ...]:
        """The verdict, the numbers that led to it, and the line of code."""
        seen, keep = self.numbers, self.suggestion
        share = f"{seen.share:.0%} of the attention".replace("%", " %")
        where = {"recency": "the most recent", "sinks": "the sinks and the most recent", "uniform": "about any"}.get(
            self.pattern, "the top"
        )
        percent = f"{keep.keep / seen.n:.0%}".replace("%", " %")
        needs = f"top {seen.top}, most recent {seen.recent}, even {seen.even}"
        sinks = f", sinks {seen.given:.2f}" if seen.given else ""
        return (
            f"layer {self.layer} head {self.head}: {self.pattern}: {share} is in {where}",
            f"   {keep.keep} of {seen.n} positions ({percent}); needed: {needs}",
            f"   entropy {seen.normalised_entropy:.2f} of ln n, effective positions {seen.effective:.0%} of n".replace(
                "%", " %"
            ),
            f"   last quarter {seen.recent_quarter:.2f}, recent/distant {seen.recent_distant:.3g}{sinks}",
            f"   {keep.line}",
        )

    def __str__(self) -> str:
        return "\n".join(self.lines)


def verdicts(profile: AttentionProfile, query: int | None = None, *, share: float = SHARE) -> tuple[Verdict, ...]:
    """One verdict per layer and head: the simplest rule that keeps `share` of the attention.

    Of an agent, the attention of the query to its history, the query itself left out. Of a language model, whose next
    query is another one, what each position received on average from the measured queries that see it; the first
    `profile.n_sink` positions always stay, and the rest is chosen from.

    Args:
        query: decide by this query alone; its row must be in the profile.
        share: how much of the attention is to be kept.

    Raises:
        InputError: a query whose row is not there, a share that is none, or nothing beside the sinks.
    """
    layers, heads, _ = profile.shape
    return tuple(
        _verdict(profile, layer, head, *attention_rows(profile, layer, [head], query), share)
        for layer in range(layers)
        for head in range(heads)
    )


def suggest(profiles: AttentionProfile | Sequence[AttentionProfile], *, share: float = SHARE) -> Suggestion:
    """One suggestion for all layers and heads of one or more profiles of a model.

    What more than half of the verdicts suggest; else "mixed". The length is what that rule needs for `share` of the
    attention: of an agent, whose compressors see the mean over layers and heads, of that mean; of a language model, on
    average over heads. Over several profiles it is their average, rounded up; of language models, as a share.

    >>> from keepmap.attention.profiling import profile_attention
    >>> from keepmap.language_model import load_language_model
    >>> profile = profile_attention(load_language_model("tiny"), list(range(40)))
    >>> suggest(profile).of
    36

    Args:
        profiles: of contexts of one model.
        share: of the attention that is kept, above 0 and below 1.

    Raises:
        InputError: no profiles, other things than profiles, or as in `verdicts`.
    """
    profiles = _listed(profiles)
    found = [verdict for profile in profiles for verdict in verdicts(profile, share=share)]
    by_name = Counter(verdict.suggestion.name for verdict in found)
    name, most = by_name.most_common(1)[0]
    same = Counter(verdict.pattern for verdict in found if verdict.suggestion.name == name)
    pattern = same.most_common(1)[0][0] if 2 * most > len(found) else "mixed"
    if profiles[0].landmarks is not None:
        seen = [
            coverage(
                torch.stack([attention_rows(one, at, range(one.shape[1]))[0] for at in range(one.shape[0])]).mean(0),
                share,
            )
            for one in profiles
        ]
        keep = math.fsum(_needed(one, pattern) for one in seen) / len(seen)
        return for_agent(pattern, math.ceil(keep), max(one.n for one in seen))
    of = max(verdict.numbers.n for verdict in found)
    keep = math.fsum(_needed(verdict.numbers, pattern) / verdict.numbers.n for verdict in found) / len(found)
    return for_language_model(pattern, math.ceil(keep * of), of, profiles[0].n_sink)


def _listed(profiles: object) -> list[AttentionProfile]:
    """One profile or several, as a list."""
    if isinstance(profiles, AttentionProfile):
        return [profiles]
    if not isinstance(profiles, Iterable) or isinstance(profiles, str | Mapping):
        raise InputError(f"expected `profiles` to be an AttentionProfile or several, got {shown(profiles)}")
    listed = list(profiles)
    if not listed:
        raise InputError("expected `profiles` to be an AttentionProfile or several, got none")
    for profile in listed:
        if not isinstance(profile, AttentionProfile):
            raise InputError(f"expected `profiles` to be AttentionProfiles, got {shown(profile)} among them")
    if len({profile.landmarks is None for profile in listed}) > 1:
        raise InputError("expected `profiles` of one model, got those of an agent and of a language model")
    return listed


def attention_rows(
    profile: AttentionProfile, layer: int, heads: Sequence[int], query: int | None = None
) -> tuple[Float[Tensor, " n"], float, int]:
    """What decides in a layer: the mean over some heads of the attention to each of n positions to choose from.

    Args:
        layer, heads: places in the profile.

    Returns:
        The row; the attention to the sinks, which always stay; and the first of the n positions.

    Raises:
        InputError: as in `verdicts`.
    """
    chosen = list(heads)
    is_agent = profile.landmarks is not None
    # Of an agent, the query alone acts.
    newest = profile.shape[2] - 1 if is_agent else int(profile.measured[-1])
    last = newest if query is None else query
    if is_agent or query is not None:
        found = (profile.queries == last).nonzero()
        if not len(found):
            raise InputError(
                f"a verdict at query {last} was asked for, whose row is not in the profile; profile it with "
                f"queries=[{last}]"
            )
        row = profile.rows[layer, chosen, int(found[0])].double().mean(0)
    else:
        row = profile.received[layer, chosen].double().nan_to_num(0.0).mean(0)
    if is_agent:
        if not last:
            raise InputError("a verdict at query 0 was asked for, before which there is nothing; take a later one")
        return row[:last], 0.0, 0
    if "evicted_by" in profile.info:
        raise InputError(
            "a verdict on a profile under eviction was asked for, where what is gone gets no attention; profile the "
            "model without keep_map"
        )
    count = int(profile.n_visible[layer, chosen[0], last])
    end = max(last + 1, count)
    first = max(end - count, profile.n_sink)
    if first >= end:
        raise InputError(
            f"a verdict on {end} positions was asked for, of which {profile.n_sink} are sinks that always stay; give "
            "a longer text, or profile it with n_sink=0"
        )
    return row[first:end], float(row[end - count : first].sum()), first


def _verdict(
    profile: AttentionProfile, layer: int, head: int, row: Float[Tensor, " n"], given: float, first: int, share: float
) -> Verdict:
    seen = coverage(row, share, given)
    pattern, keep = pattern_of(seen)
    if profile.landmarks is not None:
        made = for_agent(pattern, keep, seen.n)
    else:
        made = for_language_model(pattern, keep, seen.n, profile.n_sink)
    return Verdict(profile.layers[layer], profile.heads[head], pattern, seen, made)


def _needed(seen: Coverage, pattern: str) -> int:
    return {"recency": seen.recent, "sinks": seen.recent, "uniform": seen.even}.get(pattern, seen.top)
