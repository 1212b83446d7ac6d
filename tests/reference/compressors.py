"""Each history compressor in its obvious form: one row of transitions at a time, plain Python, no tensors."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["KEPT", "Row"]

WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Row:
    """The transitions of one agent, oldest first: (state, action, reward, next state), their times and attention, which
    of them ended an episode, and the state that the agent is in."""

    transitions: list[tuple[tuple[float, ...], float, float, tuple[float, ...]]]
    times: list[int]
    attention: list[float]
    ends: list[bool]
    here: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.transitions)


def recency(row: Row, keep_recent: int) -> list[int]:
    return list(range(len(row)))[-keep_recent:]


def uniform(row: Row, target_length: int) -> list[int]:
    return evenly(list(range(len(row))), target_length)


def evenly(positions: list[int], k: int) -> list[int]:
    """As the guide's linspace, rounded down, and the last alone for one."""
    if len(positions) <= k:
        return positions
    if k < 2:
        return positions[-1:] if k else []
    return [positions[i * (len(positions) - 1) // (k - 1)] for i in range(k)]


def attention(row: Row, target_length: int, temperature: float, sample: bool, seed: int) -> list[int]:
    scores = row.attention
    if sample:
        scores = [
            (math.log(share) / temperature if share else -math.inf) + gumbel(seed, time)
            for share, time in zip(shares(row), row.times, strict=True)
        ]
    return highest(scores, target_length)


def highest(scores: list[float], k: int) -> list[int]:
    return sorted(sorted(range(len(scores)), key=lambda j: (scores[j], j))[::-1][:k])


def shares(row: Row) -> list[float]:
    total = math.fsum(row.attention)
    return [weight / total if total else 0.0 for weight in row.attention]


def adaptive(row: Row, target_length: int) -> list[int]:
    n, k = len(row), target_length
    if n <= k:
        return list(range(n))
    quarter = max(1, n // 4)
    distant, near = sum(row.attention[:quarter]) / quarter, sum(row.attention[-quarter:]) / quarter
    if near > 0 and (distant == 0 or near / distant > 2.0):
        return recency(row, k)
    entropy = -sum(share * math.log(share) for share in shares(row) if share > 0)
    if entropy > 2.0:
        return uniform(row, k)
    if entropy < 1.5:
        return highest(row.attention, k)
    focused = highest(row.attention, k - k // 2)
    left = [j for j in range(n) if j not in focused]
    return sorted(focused + evenly(left, k // 2))


def threshold(row: Row, threshold: float, min_keep: int, max_keep: int) -> list[int]:
    reached = sum(np.float32(share) >= np.float32(threshold) for share in shares(row))
    return highest(row.attention, max(min_keep, min(max_keep, reached)))


def exponential_decay(row: Row, target_length: int, decay_rate: float, sample: bool, seed: int) -> list[int]:
    n, k, rate = len(row), target_length, decay_rate
    if n <= k:
        return list(range(n))
    if sample:
        scores = [-rate * k * (n - 1 - j) / n + gumbel(seed, row.times[j]) for j in range(n - 1)]
        return highest([*scores, math.inf], k)
    ages = [0]
    for i in range(1, k):
        share = math.exp(rate * (i - k + 1)) * (1 - math.exp(-rate * i)) / (1 - math.exp(-rate * (k - 1)))
        ages.append(max(math.floor((n - 1) * share), i))
    ages[-1] = n - 1 if k > 1 else 0
    return sorted(n - 1 - age for age in ages)


def random(row: Row, target_length: int, seed: int) -> list[int]:
    drawn = highest([signed(bits(seed, time)) for time in row.times[:-1]], target_length - 1)
    return drawn + list(range(len(row)))[-1:]


def random_without_newest(row: Row, target_length: int, seed: int) -> list[int]:
    return highest([signed(bits(seed, time)) for time in row.times], target_length)


def reward_aware(row: Row, target_length: int) -> list[int]:
    rewarded, distinct, repeats = [], [], []
    seen = set()
    for j in reversed(range(len(row))):
        if row.transitions[j] in seen:
            repeats.append(j)
        elif row.transitions[j][2] != 0:
            rewarded.append(j)
        else:
            distinct.append(j)
        seen.add(row.transitions[j])
    return sorted((rewarded + distinct + repeats)[:target_length])


def distinct(row: Row, target_length: int) -> list[int]:
    first, repeats, seen = [], [], set()
    for j in reversed(range(len(row))):
        what = row.transitions[j][:3]
        (repeats if what in seen else first).append(j)
        seen.add(what)
    return sorted((first + repeats)[:target_length])


def recency_random(row: Row, target_length: int, recent_share: float, seed: int) -> list[int]:
    recent = max(1, math.ceil(recent_share * target_length))
    older, newest = list(range(len(row)))[:-recent], list(range(len(row)))[-recent:]
    drawn = highest([signed(bits(seed, row.times[j])) for j in older], target_length - recent)
    return drawn + newest


def split(row: Row) -> list[list[int]]:
    episodes: list[list[int]] = [[]]
    for j, is_end in enumerate(row.ends):
        episodes[-1].append(j)
        if is_end:
            episodes.append([])
    return [episode for episode in episodes if episode]


def best_episodes(row: Row, target_length: int) -> list[int]:
    newest = list(range(len(row)))[-1:]
    ranked = sorted(split(row), key=lambda episode: (sum(row.transitions[j][2] for j in episode), episode[0]))[::-1]
    others = [j for episode in ranked for j in reversed(episode) if j not in newest]
    return sorted(newest + others[: target_length - 1])


def episode_summary(row: Row, target_length: int) -> list[int]:
    summary = {j for episode in split(row) for j in (episode[0], episode[-1])}
    summary |= {j for j, transition in enumerate(row.transitions) if transition[2] != 0}
    others = [j for j in reversed(range(len(row))) if j not in summary]
    return sorted((sorted(summary, reverse=True) + others)[:target_length])


def fifo(row: Row, target_length: int, drop: int) -> list[int]:
    queue: list[int] = []
    for time in range(row.times[-1] + 1 if row.times else 0):
        queue = [*(queue[drop:] if len(queue) == target_length else queue), time]
    return list(range(len(row)))[-len(queue) :] if queue else []


def nearest(row: Row, target_length: int) -> list[int]:
    newest = list(range(len(row)))[-1:]

    def away(j: int) -> float:
        return sum((a - b) ** 2 for a, b in zip(row.transitions[j][0], row.here, strict=True))

    others = sorted(range(len(row) - 1), key=lambda j: (away(j), -j))
    return sorted(newest + others[: target_length - 1])


def first_and_recent(row: Row, target_length: int, first: int) -> list[int]:
    held: list[int] = []
    for j in range(len(row)):
        held.append(j)
        if len(held) > target_length:
            del held[min(first, target_length - 1)]
    return held


def memory(row: Row, target_length: int, recent_share: float) -> list[int]:
    recent = max(1, math.ceil(recent_share * target_length))
    held: list[int] = []

    def unlike(i: int, j: int) -> float:
        (s, a, r, after), (t, b, q, then) = row.transitions[i], row.transitions[j]
        return sum((x - y) ** 2 for x, y in zip((*s, *after, r), (*t, *then, q), strict=True)) + (a != b)

    for j in range(len(row)):
        held.append(j)
        if len(held) > target_length:
            older = held[:-recent] or held[:1]
            held.remove(min(older, key=lambda i: min(unlike(i, k) for k in held if k > i)))
    return held


def stir(state: int) -> int:
    state = (state + 0x9E3779B97F4A7C15) & WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & WORD
    return state ^ (state >> 31)


def bits(seed: int, time: int) -> int:
    return stir((stir(seed & WORD) + time) & WORD)


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def gumbel(seed: int, time: int) -> float:
    return -math.log(-math.log(((bits(seed, time) >> 11) + 0.5) / 2**53))


KEPT: dict[str, Callable[..., list[int]]] = {
    "adaptive": adaptive,
    "attention": attention,
    "distinct": distinct,
    "recency_random": recency_random,
    "best_episodes": best_episodes,
    "episode_summary": episode_summary,
    "exponential_decay": exponential_decay,
    "fifo": fifo,
    "first_and_recent": first_and_recent,
    "memory": memory,
    "nearest": nearest,
    "random": random,
    "random_without_newest": random_without_newest,
    "recency": recency,
    "reward_aware": reward_aware,
    "threshold": threshold,
    "uniform": uniform,
}
