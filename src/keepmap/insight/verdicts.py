"""What a profile says about what can be dropped: a verdict for each head, and one suggestion for all of them.

The guide's recommendation for a layer, `guide_insight`, stands beside it in keepmap.insight.guide.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from keepmap.attention import AttentionProfile
from keepmap.core.arguments import shown
from keepmap.errors import InputError
from keepmap.insight.coverage import ROUNDING, SHARE, Coverage, coverage, pattern_of
from keepmap.insight.guide import GuideInsight, guide_insight
from keepmap.insight.subjects import subject_of
from keepmap.insight.suggestion import Suggestion

__all__ = ["LeadingSinks", "Verdict", "layer_guide", "leading_sinks", "suggest", "telling_layers", "verdicts"]

LATE = 0.1
"""A position beyond the first ones is a sink where it gets more than this share of all attention."""

EVERY, FEWEST = 6, 4
"""One layer of so many is tested by deletion unless others are named, and so many at least."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one head attends to, independent of the length, and what would keep it.

    Attributes:
        layer, head: the model's indices.
        pattern: "sinks" where they have more than half of the attention, and more than if all were alike; else `rest`.
        rest: "recency", "uniform" or "sparse", of the attention beside the sinks; "sinks" where there is none. See
            `keepmap.insight.coverage.pattern_of`.
        numbers: what decided it.
        suggestion: how many positions stay, and a line of code, for the rest; sinks stay in any case.
    """

    layer: int
    head: int
    pattern: str
    rest: str
    numbers: Coverage
    suggestion: Suggestion

    @property
    def name(self) -> str:
        """Both patterns as words: "recency", or "sinks + recency"."""
        return self.pattern if self.pattern == self.rest else f"{self.pattern} + {self.rest}"

    @property
    def lines(self) -> tuple[str, ...]:
        """The verdict, the numbers that led to it, and the line of code."""
        seen, keep = self.numbers, self.suggestion
        share = f"{seen.share:.0%} of {'the rest' if seen.sinks else 'the attention'}".replace("%", " %")
        where = {"recency": "the most recent", "sinks": "the sinks", "uniform": "about any"}.get(self.rest, "the top")
        percent = f"{keep.keep / seen.n:.0%}".replace("%", " %")
        needs = f"top {seen.top}, most recent {seen.recent}, even {seen.even}"
        sinks = f", sinks {seen.given:.2f}" if seen.given else ""
        return (
            f"layer {self.layer} head {self.head}: {self.name}: {share} is in {where}",
            f"   {keep.keep} of {seen.n} positions ({percent}); needed: {needs}",
            f"   entropy {seen.normalised_entropy:.2f} of ln n, effective positions {seen.effective:.0%} of n".replace(
                "%", " %"
            ),
            f"   last quarter {seen.recent_quarter:.2f}, recent/distant {seen.recent_distant:.3g}{sinks}",
            f"   {keep.line}",
        )

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, kw_only=True)
class LeadingSinks:
    """The sinks that a layer looks at before anything else.

    Attributes:
        positions: where they are in the samples that have them, if not among the first `n_sink`; else none.
        share: of all attention, mean over heads and samples. even: what it would be if all positions were alike.
    """

    positions: tuple[int, ...]
    share: float
    even: float


def verdicts(profile: AttentionProfile, query: int | None = None, *, share: float = SHARE) -> tuple[Verdict, ...]:
    """One verdict per layer and head: the simplest rule that keeps `share` of the attention beside the sinks.

    Of an agent, the attention of the query to its history, the query itself left out. Of a language model, whose next
    query is another one, how the attention of all measured queries is shared out over positions, and over ages; the
    first `profile.n_sink` positions always stay, so their share comes first, and the rest is judged without it.

    Args:
        query: decide by this query alone; its row must be in the profile.
        share: how much of the attention is to be kept.

    Raises:
        InputError: a query whose row is not there, a share that is none, or nothing beside the sinks.
    """
    subject, by_head = subject_of(profile), list[Verdict]()
    for at, layer in enumerate(profile.layers):
        for place, head in enumerate(profile.heads):
            numbers = coverage(subject.shares(profile, at, [place], query), share)
            rest, keep = pattern_of(numbers)
            by_head.append(
                Verdict(
                    layer=layer,
                    head=head,
                    pattern="sinks" if numbers.sinks else rest,
                    rest=rest,
                    numbers=numbers,
                    suggestion=subject.suggestion(rest, keep, numbers.n),
                )
            )
    return tuple(by_head)


def layer_guide(profiles: Sequence[AttentionProfile], layer: int, *, independent: bool = True) -> GuideInsight:
    """The guide's recommendation for a layer of a model, over profiles of all its heads, independent ones or not."""
    subject = subject_of(profiles[0])
    statistics = [profile.guide_statistics(layer) for profile in profiles]
    return guide_insight(statistics, subject=subject, of=subject.positions(profiles), independent=independent)


def leading_sinks(
    profiles: Sequence[AttentionProfile], layer: int, by_sample: Sequence[Sequence[Verdict]]
) -> LeadingSinks | None:
    """What a layer of a language model looks at first, where that is a sink in most samples; None where it is none.

    Of the position where the last query's maximum is: one of the first `n_sink`, which get more than if all positions
    were attended to alike; or a later one that gets a tenth of all attention, and twice what it would get then.

    Args:
        profiles: of all heads. by_sample: the layer's verdicts in each sample.
    """
    maxima = [int(profile.guide_statistics(layer)["max_position"]) for profile in profiles]
    numbers = [verdict.numbers for of_layer in by_sample for verdict in of_layer]
    given = math.fsum(of.given for of in numbers) / len(numbers)
    even = math.fsum(of.even_given for of in numbers) / len(numbers)
    if profiles[0].landmarks is not None:
        return None  # an agent's transitions are told apart by what they are
    if 2 * sum(position < profiles[0].n_sink for position in maxima) > len(maxima):
        return LeadingSinks(positions=(), share=given, even=even) if given > even + ROUNDING else None
    shares = [_share(profile, layer, position) for profile, position in zip(profiles, maxima, strict=True)]
    late = [
        (position, *of)
        for position, of in zip(maxima, shares, strict=True)
        if position >= profiles[0].n_sink and of[0] > max(LATE, 2 * of[1])
    ]
    if 2 * len(late) <= len(maxima):
        return None
    positions, got, alike = zip(*late, strict=True)
    return LeadingSinks(positions=positions, share=math.fsum(got) / len(got), even=math.fsum(alike) / len(alike))


def _share(profile: AttentionProfile, layer: int, position: int) -> tuple[float, float]:
    """What a position gets of all queries' attention, mean over heads, and what it would get if all were alike."""
    at, queries = profile.layers.index(layer), profile.measured
    count = profile.n_visible[at, 0, queries]
    seen = (queries >= position) & (queries - count < position)
    return float(profile.shares[at, :, position].double().mean()), float((seen / count).double().mean())


def telling_layers(by_sample: Sequence[Sequence[Verdict]]) -> tuple[int, ...]:
    """The layers to test first: a sixth of them, four at least, evenly spaced by what the first positions get.

    The one where they get most and the one where they get least are among them.

    Args:
        by_sample: the verdicts of each sample.
    """
    given: dict[int, list[float]] = {}
    for verdict in itertools.chain(*by_sample):
        given.setdefault(verdict.layer, []).append(verdict.numbers.given)
    ranked = sorted(given, key=lambda layer: (math.fsum(given[layer]) / len(given[layer]), layer))
    count = min(len(ranked), max(FEWEST, -(-len(ranked) // EVERY)))
    last = max(1, count - 1)
    return tuple(sorted(ranked[round(place * (len(ranked) - 1) / last)] for place in range(count)))


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
    by_head = [verdict for profile in profiles for verdict in verdicts(profile, share=share)]
    by_name = Counter(verdict.suggestion.name for verdict in by_head)
    name, most = by_name.most_common(1)[0]
    same = Counter(verdict.rest for verdict in by_head if verdict.suggestion.name == name)
    pattern = same.most_common(1)[0][0] if 2 * most > len(by_head) else "mixed"
    return subject_of(profiles[0]).overall(profiles, [verdict.numbers for verdict in by_head], pattern, share)


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
    if len({subject_of(profile).host for profile in listed}) > 1:
        raise InputError("expected `profiles` to be of one model, got those of an agent and of a language model")
    return listed
