"""What an action costs: the formula against a count of the real model's operations."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from keepmap.agents.acting.agent import load_agent
from keepmap.agents.acting.decoder import Decoder
from keepmap.agents.acting.memory import Cache, Step, Window
from keepmap.agents.acting.rollout import Player, decide
from keepmap.agents.compressor import Compressor
from keepmap.agents.compressors.attention_based import AttentionBasedCompressor
from keepmap.agents.compressors.first_and_recent import FirstAndRecentCompressor
from keepmap.agents.compressors.recency import RecencyCompressor
from keepmap.agents.compressors.threshold import ThresholdCompressor
from keepmap.agents.environments.vector import RoomVectorEnv
from keepmap.agents.study.cost import (
    cached_cost,
    held_bytes,
    pass_flops,
    shortened_cost,
    whole_window_cost,
    window_steps,
)
from keepmap.agents.study.tally import Tally, watched
from keepmap.agents.transformer import DecisionShape, DecisionTransformer
from tests.agents.checkpoint_folders import write_agent

SHAPE = DecisionShape(observation_sizes=(4, 4), n_actions=5, n_embd=16, n_layer=3, n_head=2, n_inner=40)


@pytest.fixture(scope="module")
def model() -> DecisionTransformer:
    torch.manual_seed(0)
    return DecisionTransformer(SHAPE).eval()


def filled(steps: int, size: int = 12, slide: int = 3) -> Window:
    window = Window(1, 2, size, slide)
    for _ in range(steps):
        window.add(step())
    return window


def step() -> Step:
    cell = torch.zeros(1, 2, dtype=torch.int64)
    no = torch.zeros(1, dtype=torch.bool)
    return Step(states=cell, actions=cell[:, 0], rewards=torch.zeros(1), next_states=cell, dones=no, valid=~no)


@pytest.mark.parametrize("kept", [0, 1, 7, 12])
def test_a_pass_costs_what_the_formula_says(model: DecisionTransformer, kept: int) -> None:
    window = filled(kept)
    query = torch.zeros(1, 2, dtype=torch.int64)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        decide(model, window.history(), query, window.times_now, see=lambda weights: None)
    assert pass_flops(SHAPE, kept + 1) == counter.get_total_flops() > 0


def test_a_rollout_with_a_cache_costs_what_the_formula_says(model: DecisionTransformer) -> None:
    actions, size, slide = 30, 12, 3
    window, cache = Window(1, 2, size, slide), Cache(model, 1, size)
    query = torch.zeros(1, 2, dtype=torch.int64)
    lengths, flops = [], []
    for _ in range(actions):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            cache.answer(window.history(), query, window.times_now, look=True)
        lengths.append(window.n)
        flops.append(counter.get_total_flops())
        if window.add(step()):
            cache.forget()
    steps = list(window_steps(actions, size, slide))
    assert [n for n, _ in steps] == lengths
    assert [pass_flops(SHAPE, new + 1, n + 1) for n, new in steps] == flops
    assert cached_cost(SHAPE, actions, size, slide).flops == pytest.approx(sum(flops) / actions)
    again = whole_window_cost(SHAPE, actions, size, slide)
    assert again.flops == pytest.approx(sum(pass_flops(SHAPE, n + 1) for n in lengths) / actions)
    assert again.flops > 2 * cached_cost(SHAPE, actions, size, slide).flops


def test_the_bytes_are_those_of_the_caches_arrays(model: DecisionTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, held_by_layers = Decoder.answer, list[int]()

    def count(decoder: Decoder, tokens: Any, times: Any, held: Any, *rest: Any) -> torch.Tensor:
        held_by_layers.extend(layer.nbytes for layer in held)
        return answer(decoder, tokens, times, held, *rest)

    monkeypatch.setattr(Decoder, "answer", count)
    window = filled(12)
    with torch.no_grad():
        Cache(model, 1, 12).answer(window.history(), torch.zeros(1, 2, dtype=torch.int64), window.times_now)
    assert len(held_by_layers) == SHAPE.n_layer
    assert (
        held_bytes(SHAPE, 13)
        == sum(held_by_layers)
        == cached_cost(SHAPE, 100, 12, 3).bytes
        == whole_window_cost(SHAPE, 100, 12, 3).bytes
    )
    assert cached_cost(SHAPE, 5, 12, 3).bytes == held_bytes(SHAPE, 5), "four transitions and the query"


def test_attention_costs_a_look_at_the_whole_window() -> None:
    kept = Tally(computed=Counter({0: 1, 1: 1, 2: 6}))
    blind = shortened_cost(SHAPE, RecencyCompressor(2), kept, 8, 4, 1)
    assert blind.flops == pytest.approx((pass_flops(SHAPE, 1) + pass_flops(SHAPE, 2) + 6 * pass_flops(SHAPE, 3)) / 8)
    assert blind.bytes == held_bytes(SHAPE, 3)
    seeing = shortened_cost(SHAPE, AttentionBasedCompressor(2), kept, 8, 4, 1)
    look = cached_cost(SHAPE, 8, 4, 1)
    assert seeing.flops == pytest.approx(blind.flops + look.flops)
    assert seeing.bytes == held_bytes(SHAPE, 3 + 5)


@dataclass(frozen=True)
class Remembering(AttentionBasedCompressor):
    """Looks at what it held, and at the newest."""

    remembers: ClassVar[bool] = True


@pytest.mark.parametrize(
    "compressor",
    [RecencyCompressor(3), ThresholdCompressor(0.12, 0, 9), FirstAndRecentCompressor(5, 2), Remembering(3)],
    ids=lambda compressor: type(compressor).__name__,
)
def test_an_agent_that_acts_costs_what_the_formula_says(
    tmp_path: Path, compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, tally, rows, counted = load_agent(write_agent(tmp_path)), Tally(), 3, []
    logits = Player.logits

    def count(player: Player, states: torch.Tensor) -> torch.Tensor:
        # The fused kernel of the CPU is not counted.
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            result = logits(player, states)
        counted.append(counter.get_total_flops())
        return result

    monkeypatch.setattr(Player, "logits", count)
    envs = RoomVectorEnv(agent.room, rows, agent.room.goals[:rows])
    agent.play(envs, 4, compressor=watched(compressor, tally.see))
    actions, config = 4 * agent.room.horizon, agent.config
    assert len(counted) == actions
    cost = shortened_cost(agent.model.shape, compressor, tally, actions, config.n_transit, config.slide())
    assert cost.flops == pytest.approx(sum(counted) / (actions * rows))
    if compressor.name == "threshold":
        # Rows that keep fewer than the widest one, which is narrower than all that may be kept.
        assert tally.kept != tally.computed and tally.computed[9] < sum(tally.computed.values())
    else:
        assert tally.kept == tally.computed
