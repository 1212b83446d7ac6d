"""Let an agent act: episodes in any vector of environments, with its whole window or what a compressor keeps of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.agents.acting.memory import Cache, Memory, Step, Window
from keepmap.agents.acting.spaces import action_writer, check_spaces, read_observations, whole_numbers
from keepmap.agents.compressor import Compressor, as_compressor
from keepmap.agents.history import History, narrowed, shorten
from keepmap.agents.transformer import DecisionTransformer
from keepmap.core.arguments import as_function, as_integer
from keepmap.core.progress import Progress
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["Player", "attended", "decide", "play"]

See = Callable[[Tensor], None]


def decide(
    model: DecisionTransformer,
    history: History,
    query_states: Int[Tensor, "B S"],
    now: Int[Tensor, " B"],
    see: See | None = None,
) -> Float[Tensor, "B A"]:
    """Logits of the next action from a history as it is, in one pass: what every faster way must equal.

    Args:
        now: the query's time.
        see: called with each layer's attention weights, over the n transitions and, last, the query.
    """
    first = history.times[:, :1] if history.times.shape[1] else now[:, None]
    # Ages alone matter, and the angles of small times are exact to more digits.
    return model.query_logits(replace(history, times=history.times - first), query_states, now - first[:, 0], see)


def attended(model: DecisionTransformer, history: History, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B n"]:
    """The attention of a query state, one step after the last transition, to each transition: the mean over layers and
    heads."""
    last = history.times.masked_fill(~history.valid, -1).amax(1) if history.times.shape[1] else None
    now = torch.zeros(len(query_states), dtype=torch.int64) if last is None else last + 1
    return _looked(model, history, query_states, now)


def _looked(
    model: DecisionTransformer, history: History, query_states: Int[Tensor, "B S"], now: Int[Tensor, " B"]
) -> Float[Tensor, "B n"]:
    """The same attention, of a query state at a time of its own."""
    weights: list[Float[Tensor, "B n"]] = []
    decide(model, history, query_states, now, lambda seen: weights.append(seen[:, :, -1, :-1].mean(1)))
    return torch.stack(weights).mean(0)


class Player:
    """Chooses actions for B agents, and remembers what came of them.

    Args:
        size, slide: of the window (see `Window`).
        compressor: what shortens the window before each action; None for the whole window. One that remembers has a
            memory of the whole life in place of the window.
    """

    def __init__(
        self, model: DecisionTransformer, agents: int, size: int, slide: int, compressor: Compressor | None = None
    ) -> None:
        self._model = model
        self._compressor = compressor
        coordinates = len(model.shape.observation_sizes)
        self._remembers = compressor is not None and compressor.remembers
        self.window = Memory(agents, coordinates) if self._remembers else Window(agents, coordinates, size, slide)
        looks = compressor is None or (compressor.needs_attention and not self._remembers)
        self._cache = Cache(model, agents, size) if looks else None

    def logits(self, states: Int[Tensor, "B S"]) -> Float[Tensor, "B A"]:
        """The logits of the next action in each state."""
        history, now = self.window.history(), self.window.times_now
        if self._compressor is None:
            assert self._cache is not None
            return self._cache.answer(history, states, now)[0]
        if self._cache is not None:
            attention = self._cache.answer(history, states, now, look=True)[1]
            history = self.window.history(attention)
        elif self._compressor.needs_attention:
            # What is remembered changes in each step, so that no keys and values stay.
            history = replace(history, attention=_looked(self._model, history, states, now))
        history = history.at(states)
        kept = shorten(history, narrowed(self._compressor.select(history)))
        if isinstance(self.window, Memory):
            self.window.keep(kept)
        return decide(self._model, kept, states, now)

    def add(self, step: Step) -> None:
        """Put a step into the window, of which the agents then act."""
        if self.window.add(step) and self._cache is not None:
            self._cache.forget()


MOST_EPISODES = 10_000_000


def play(
    model: DecisionTransformer,
    envs: "VectorEnv[Any, Any, Any]",
    episodes: int,
    *,
    size: int,
    slide: int,
    seed: int = 0,
    compressor: Compressor | str | None = None,
    progress: Progress | None = None,
) -> Float[np.ndarray, "n_envs episodes"]:
    """The return of each episode; each environment's agent starts with an empty history, and samples its actions.

    Args:
        envs: any vector of environments whose spaces hold the same whole numbers as the model's, whatever way it resets
            them. Where a step resets some environments and not others, it takes a place in the window of all.
        seed: of the environments and of the actions.
        compressor: one, or the name of one; None for the whole window.
        progress: called after every step with the share of the episodes that are over.

    Raises:
        InputError: other spaces than the model's, no episodes, or no such compressor.
        ImpossibleResultError: logits or rewards that are not finite.
    """
    check_spaces(model.shape, envs)
    episodes, seed = as_integer("episodes", episodes, 1, MOST_EPISODES), as_integer("seed", seed)
    progress = as_function("progress", progress)
    compressor = as_compressor(compressor)
    n = envs.num_envs
    draws = np.random.default_rng(seed)
    mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    written = action_writer(envs)
    returns = np.zeros((n, episodes + 1))  # the last column takes what comes after the last episode
    episode = np.zeros(n, dtype=np.int64)
    fresh = np.zeros(n, dtype=np.bool_)  # environments whose next step resets them, whatever the action
    player = Player(model, n, size, slide, compressor)
    with torch.inference_mode():
        observations, _ = envs.reset(seed=seed)
        while episode.min() < episodes:
            states = read_observations(observations, model.shape)
            # Where all are reset in this step, nothing is decided: no draw is used, and nothing is remembered.
            deciding = not fresh.all()
            actions = _sampled(player.logits(states), draws.random(n)) if deciding else np.zeros(n, dtype=np.int64)
            after, rewards, terminated, truncated, infos = envs.step(written(actions))
            if not np.isfinite(rewards).all():
                raise ImpossibleResultError("an environment gave a reward that is not finite")
            ended = np.asarray(terminated | truncated) & ~fresh
            valid = ~fresh
            returns[np.arange(n)[valid], episode[valid]] += rewards[valid]
            if deciding:
                player.add(
                    Step(
                        states=states,
                        actions=torch.from_numpy(actions),
                        rewards=torch.from_numpy(np.asarray(rewards, dtype=np.float32)),
                        next_states=read_observations(_led_to(after, ended, infos, mode), model.shape),
                        dones=torch.from_numpy(ended),
                        valid=torch.from_numpy(valid),
                    )
                )
            episode = np.minimum(episode + ended, episodes)
            fresh = ended if mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
            if mode == AutoresetMode.DISABLED and ended.any():
                after, _ = envs.reset(options={"reset_mask": ended})
            observations = after
            if progress is not None:
                progress(float(episode.mean()) / episodes)
    return returns[:, :episodes]


def _sampled(logits: Float[Tensor, "B A"], draws: Float[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    shares = logits.double().softmax(-1).numpy()
    if not np.isfinite(shares).all():
        raise ImpossibleResultError(
            "the agent's logits are not finite; its training has failed, or its weights are damaged"
        )
    below = shares.cumsum(1) <= draws[:, None]
    return np.minimum(below.sum(1), shares.shape[1] - 1)


def _led_to(
    after: Any, ended: Bool[np.ndarray, " n"], infos: dict[str, Any], mode: AutoresetMode
) -> Int[np.ndarray, "n S"]:
    """Where the steps led: the last observation of an episode, not the first one of the next."""
    led = whole_numbers(after).copy()
    if mode == AutoresetMode.SAME_STEP and ended.any():
        if "final_obs" not in infos:
            raise InputError(
                'the environments reset in the same step without saying where the last one led: "final_obs" is not in '
                "their infos"
            )
        for index in np.flatnonzero(ended):
            led[index] = whole_numbers(infos["final_obs"][index])
    return led
