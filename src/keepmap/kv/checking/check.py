"""The checks of a method that somebody wrote, one after the other."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from keepmap.errors import KeepmapError, counted
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.checking.trials import CHANGED_FROM, LanguageModel, Largest, N, run, scored, small_model, text
from keepmap.kv.choosing import Budget
from keepmap.kv.method import Method
from keepmap.kv.methods.random import Random

__all__ = ["Check", "check_behaviour"]

_HALVES = (torch.bfloat16, torch.float16)
_MANY_TIES, _FEW_TIES = 0.5, 0.05
_FIRST, _WINDOW = 2, 8
_LONG, _TIMED = 512, 128
_DENSITIES = (0.1, 0.5, 1.0)
_TOLERANCE = 2.0**-12
"""Scores that are rounded to 13 binary digits may be one of them apart."""
_LOOKS_AHEAD = 'not asked of an oracle: it declares that it needs the "future", and no cache takes it'


@dataclass(frozen=True)
class Check:
    """One check of a method.

    Attributes:
        name: what is checked, in a word. passed: whether it holds.
        note: what was seen, and what to do where it does not hold.

    >>> Check("causal", True, "no earlier score changed").line
    'ok    causal: no earlier score changed'
    """

    name: str
    passed: bool
    note: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{'ok   ' if self.passed else 'FAILS'} {self.name}: {self.note}"


def check_behaviour(method: Method, reference: Method | None = None) -> tuple[Check, ...]:
    """Try a method on the embedded model and on inputs that are made up; nothing is downloaded.

    >>> from keepmap.kv.methods.key_norm import KeyNorm
    >>> all(check.passed for check in check_behaviour(KeyNorm()))
    True

    Args:
        reference: a slow form of the method, whose scores and decisions have to be the same.
    """
    language_model = small_model()
    checks: list[tuple[str, Callable[[], tuple[bool, str]]]] = [
        ("causal", lambda: _causal(method, language_model)),
        ("in parts", lambda: _in_parts(method, language_model)),
        ("budget", lambda: _budget(method, language_model)),
        ("state", lambda: _state(method, language_model)),
        ("inputs", lambda: _inputs(method)),
        ("numbers", lambda: _numbers(method)),
        ("ties", lambda: _ties(method)),
        ("memory", lambda: _memory(method)),
        ("speed", lambda: _speed(method, language_model)),
    ]
    if reference is not None:
        checks.append(("reference", lambda: _reference(method, reference, language_model)))
    return tuple(_attempt(name, check) for name, check in checks)


def _attempt(name: str, check: Callable[[], tuple[bool, str]]) -> Check:
    """What a check says; where the method raises, that is what it says."""
    try:
        return Check(name, *check())
    except KeepmapError as error:
        return Check(name, False, str(error))
    except Exception as error:  # of the method's own code
        words = (str(error).splitlines() or ["no message"])[0]
        return Check(name, False, f"its code raised {type(error).__name__}: {words}")


def _causal(method: Method, language_model: LanguageModel) -> tuple[bool, str]:
    if method.needs == "future":
        return True, _LOOKS_AHEAD
    # Where nothing is dropped, the score of each position is that by which it was decided.
    first, other = (
        run(language_model, method, text(language_model, seed), threshold=float("-inf")).keep_map.scores
        for seed in (2, 3)
    )
    known = CHANGED_FROM - _WINDOW - 1
    changed = _apart(first[:, :, _FIRST:known], other[:, :, _FIRST:known]).any(dim=0).any(dim=0)
    if not changed.any():
        return True, f"no score that was to decide changed with the tokens from {CHANGED_FROM} on"
    position = int(changed.nonzero()[0]) + _FIRST
    return False, (
        f"position {position}'s score changed with a token from {CHANGED_FROM} on, which comes after its decision: "
        "look at what is before `layer.decided_at[j]` alone (of a LayerInput), or at what is held (of a HeldInput)"
    )


def _in_parts(method: Method, language_model: LanguageModel) -> tuple[bool, str]:
    if method.needs == "future":
        return True, _LOOKS_AHEAD
    ids = text(language_model, 2)
    whole = run(language_model, method, ids)
    if method.needs == "prefix":
        part = run(language_model, method, ids[:CHANGED_FROM])
        same = torch.equal(part.keep_map.expires, whole.keep_map.expires[:, :, :CHANGED_FROM].clamp(max=CHANGED_FROM))
        note = "the beginning of a text is decided as the beginning of the whole"
    else:
        cache = EvictingCache(language_model, method, density=0.3, n_sink=_FIRST, window=_WINDOW)
        for part_ids in ids.split([28, 1, 7, N - 36]):
            cache.go_on(part_ids)
        same = torch.equal(cache.keep_map().expires, whole.keep_map.expires)
        note = "a text that comes in parts is decided as the same text at once"
    if same:
        return True, note
    return False, (
        "a text that comes in parts is decided otherwise than the same text at once: a score must not depend on how "
        "many positions are asked for together; count positions from `layer.first`"
    )


def _budget(method: Method, language_model: LanguageModel) -> tuple[bool, str]:
    left = N - _FIRST - _WINDOW
    for density in _DENSITIES:
        # Whoever shares it by default, each head alone has to meet its own.
        keep_map = run(language_model, method, text(language_model, 2), density=density, budget_by="head").keep_map
        held = keep_map.kept()[:, :, _FIRST : N - _WINDOW].sum(dim=2)
        wanted = Budget(density=density).capacity(left)
        if not bool((held == wanted).all()):
            return False, f"at density {density:g} a head holds {int(held.max())} of {left} entries, not {wanted}"
    return True, f"met in every head at the densities {', '.join(f'{density:g}' for density in _DENSITIES)}"


def _state(method: Method, language_model: LanguageModel) -> tuple[bool, str]:
    ids = text(language_model, 2)
    before = run(language_model, method, ids).keep_map
    run(language_model, method, text(language_model, 5, N + 9).flip(0))
    if run(language_model, method, ids).keep_map == before:
        return True, "a text is decided alike before and after another text"
    return False, (
        "a text is decided otherwise after another text: keep nothing between calls of `score`, and draw from "
        "`layer.seed` and the position alone"
    )


def _inputs(method: Method) -> tuple[bool, str]:
    for dtype in (*_HALVES, torch.float32, torch.float64):
        scores, is_untouched = scored(method, 33, dtype)
        if not scores.is_floating_point() or scores.device.type != "cpu":
            return False, f"of {dtype} on the CPU the scores are {scores.dtype} on {scores.device}: keep the device"
        if not is_untouched:
            return False, f"of {dtype} the method changed its input: it is the model's own; copy before you write"
    return True, "float scores where the keys are, of every precision, and the input is left as it was"


def _numbers(method: Method) -> tuple[bool, str]:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        for fill in (0.0, 1e-30, 1e-3, 6e4):
            for size in (1, 2, 40):
                scores, _ = scored(method, size, dtype, fill)
                if torch.isnan(scores).any():
                    return False, (
                        f"a score is NaN where {counted(size, 'position')} of {dtype} hold {fill:g} alone: compute in "
                        "float32 (`.float()`), and clamp what you divide by"
                    )
    return True, "no NaN of zeros, of numbers near 0 and near float16's largest, and of single positions"


def _ties(method: Method) -> tuple[bool, str]:
    shares = {}
    for dtype in (torch.float32, *_HALVES):
        scores, _ = scored(method, 400, dtype)
        distinct = sum(len(head.unique()) for head in scores)
        shares[dtype] = 1.0 - distinct / scores.numel()
    note = ", ".join(f"{share:.0%} in {str(dtype).removeprefix('torch.')}" for dtype, share in shares.items())
    note = f"scores that equal another of 400 positions: {note}"
    exact = shares.pop(torch.float32)
    if exact > _FEW_TIES or max(shares.values()) <= _MANY_TIES:
        return True, note
    return False, f"{note}: compute in float32, or the earlier one of many equals goes"


def _memory(method: Method) -> tuple[bool, str]:
    largest = []
    for size in (_LONG, 2 * _LONG):
        with Largest() as seen:
            scored(method, size, torch.float32)
        largest.append(seen.numbers)
    note = f"the largest tensor has {largest[0]:,} numbers for {_LONG} positions, {largest[1]:,} for {2 * _LONG}"
    if largest[1] < 3 * largest[0]:
        return True, note
    return False, f"{note}: that grows with the square of the text; go through it in blocks"


def _speed(method: Method, language_model: LanguageModel) -> tuple[bool, str]:
    ids = text(language_model, 2, _TIMED)
    seconds = []
    for timed in (method, Random()):
        start = time.perf_counter()
        run(language_model, timed, ids)
        seconds.append(time.perf_counter() - start)
    return True, f"{seconds[0] / seconds[1]:.1f} x the time of random on {_TIMED} tokens, once (told, not judged)"


def _reference(method: Method, reference: Method, language_model: LanguageModel) -> tuple[bool, str]:
    ids = text(language_model, 2)
    # Where nothing is dropped, scores can be compared one by one.
    own, slow = (
        run(language_model, each, ids, threshold=float("-inf")).keep_map.scores for each in (method, reference)
    )
    for layer, head, position in _apart(own, slow).nonzero().tolist():
        values = [float(scores[layer, head, position]) for scores in (own, slow)]
        return False, (
            f"position {position} of layer {layer}, KV head {head} scores {values[0]:.6g}, and {values[1]:.6g} by "
            f"{reference.name}"
        )
    own, slow = (run(language_model, each, ids).keep_map.expires for each in (method, reference))
    for layer, head, position in (own != slow).nonzero().tolist():
        ends = [int(expires[layer, head, position]) for expires in (own, slow)]
        return False, (
            f"position {position} of layer {layer}, KV head {head} is held until query {ends[0]}, and until "
            f"{ends[1]} by {reference.name}, though scores without eviction are the same"
        )
    return True, f"the scores and decisions of {reference.name}"


def _apart(own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Scores that differ by more than the order of sums makes them."""
    scale = torch.maximum(own.abs(), other.abs())
    return (own != other) & ((own - other).abs() > _TOLERANCE * scale)
