"""Let an agent act: episodes in any vector of environments, with its whole window or what a compressor keeps of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor

from keepmap.agents.acting.memory import Cache, Step, Window
from keepmap.agents.compressor import Compressor
from keepmap.agents.history import History, narrowed, shorten
from keepmap.agents.transformer import DecisionShape, DecisionTransformer
from keepmap.errors import ImpossibleResultError, InputError

__all__ = ["Player", "attended", "decide", "play"]

See = Callable[[Tensor], None]
Tell = Callable[[int], None]


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
    return model.decide(replace(history, times=history.times - first), query_states, now - first[:, 0], see)


def attended(model: DecisionTransformer, history: History, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B n"]:
    """The attention of a query state, one step after the last transition, to each transition: the mean over layers and
    heads."""
    weights: list[Float[Tensor, "B n"]] = []
    last = history.times.masked_fill(~history.valid, -1).amax(1) if history.times.shape[1] else None
    now = torch.zeros(len(query_states), dtype=torch.int64) if last is None else last + 1
    decide(model, history, query_states, now, lambda seen: weights.append(seen[:, :, -1, :-1].mean(1)))
    return torch.stack(weights).mean(0)


class Player:
    """Chooses actions for B agents, and remembers what came of them.

    Args:
        size, slide: of the window (see `Window`).
        compressor: what shortens the window before each action; None for the whole window.
    """

    def __init__(
        self, model: DecisionTransformer, agents: int, size: int, slide: int, compressor: Compressor | None = None
    ) -> None:
        self._model = model
        self._compressor = compressor
        self.window = Window(agents, len(model.shape.observation_sizes), size, slide)
        looks = compressor is None or compressor.needs_attention
        self._cache = Cache(model, agents, size) if looks else None

    def logits(self, states: Int[Tensor, "B S"]) -> Float[Tensor, "B A"]:
        """Of the next action in each state."""
        history, now = self.window.history(), self.window.times_now
        if self._compressor is None:
            assert self._cache is not None
            return self._cache.answer(history, states, now)[0]
        if self._cache is not None:
            attention = self._cache.answer(history, states, now, look=True)[1]
            history = self.window.history(attention)
        return decide(self._model, shorten(history, narrowed(self._compressor.select(history))), states, now)

    def add(self, step: Step) -> None:
        """Remember a step."""
        if self.window.add(step) and self._cache is not None:
            self._cache.forget()


def play(
    model: DecisionTransformer,
    envs: "VectorEnv[Any, Any, Any]",
    episodes: int,
    *,
    size: int,
    slide: int,
    seed: int = 0,
    compressor: Compressor | None = None,
    tell: Tell = lambda steps: None,
) -> Float[np.ndarray, "n_envs episodes"]:
    """The return of each episode; each environment's agent starts with an empty history, and samples its actions.

    Args:
        envs: any vector of environments with the model's spaces, whatever way it resets them. Where a step resets
            some environments and not others, it takes a place in the window of all.
        seed: of the environments and of the actions.
        tell: called with the number of steps taken since the last time, summed over the environments.

    Raises:
        InputError: other spaces than the model's, or no episodes.
        ImpossibleResultError: logits or rewards that are no numbers.
    """
    _check(model.shape, envs)
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"{name} {value!r} was asked for; it must be a whole number of {least} or more")
    if not isinstance(compressor, Compressor | None):
        raise InputError(
            f"the compressor {compressor!r} was given; give a value such as RecencyCompressor(keep_recent=10), or None"
        )
    n = envs.num_envs
    draws = np.random.default_rng(seed)
    mode = envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    returns = np.zeros((n, episodes + 1))  # the last column takes what comes after the last episode
    episode = np.zeros(n, dtype=np.int64)
    fresh = np.zeros(n, dtype=np.bool_)  # environments whose next step resets them, whatever the action
    player = Player(model, n, size, slide, compressor)
    with torch.inference_mode():
        observations, _ = envs.reset(seed=seed)
        while episode.min() < episodes:
            states = _observed(observations, model.shape)
            # Where all are reset in this step, nothing is decided: no draw is used, and nothing is remembered.
            deciding = not fresh.all()
            actions = _sampled(player.logits(states), draws.random(n)) if deciding else np.zeros(n, dtype=np.int64)
            after, rewards, terminated, truncated, infos = envs.step(actions)
            if not np.isfinite(rewards).all():
                raise ImpossibleResultError("an environment gave a reward that is no number")
            ended = np.asarray(terminated | truncated) & ~fresh
            valid = ~fresh
            returns[np.arange(n)[valid], episode[valid]] += rewards[valid]
            if deciding:
                player.add(
                    Step(
                        states,
                        torch.from_numpy(actions),
                        torch.from_numpy(np.asarray(rewards, dtype=np.float32)),
                        _observed(_led_to(after, ended, infos, mode), model.shape),
                        torch.from_numpy(ended),
                        torch.from_numpy(valid),
                    )
                )
            episode = np.minimum(episode + ended, episodes)
            fresh = ended if mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
            if mode == AutoresetMode.DISABLED and ended.any():
                after, _ = envs.reset(options={"reset_mask": ended})
            observations = after
            tell(n)
    return returns[:, :episodes]


def _sampled(logits: Float[Tensor, "B A"], draws: Float[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    shares = logits.double().softmax(-1).numpy()
    if not np.isfinite(shares).all():
        raise ImpossibleResultError(
            "the agent's logits are no numbers; its training has failed, or its weights are damaged"
        )
    below = shares.cumsum(1) <= draws[:, None]
    return np.minimum(below.sum(1), shares.shape[1] - 1)


def _observed(observations: Any, shape: DecisionShape) -> Int[Tensor, "n S"]:
    states = np.asarray(observations, dtype=np.int64)
    if (states < 0).any() or (states >= np.array(shape.observation_sizes)).any():
        raise InputError(
            f"an environment gave an observation outside of its space: {states.min()} to {states.max()}, where "
            f"coordinates have {shape.observation_sizes} values"
        )
    return torch.from_numpy(states)


def _led_to(
    after: Any, ended: Bool[np.ndarray, " n"], infos: dict[str, Any], mode: AutoresetMode
) -> Int[np.ndarray, "n S"]:
    """Where the steps led: the last observation of an episode, not the first one of the next."""
    led = np.array(after, dtype=np.int64)
    if mode == AutoresetMode.SAME_STEP and ended.any():
        if "final_obs" not in infos:
            raise InputError(
                'the environments reset in the same step without saying where the last one led: "final_obs" is not in '
                "their infos"
            )
        for index in np.flatnonzero(ended):
            led[index] = infos["final_obs"][index]
    return led


def _check(shape: DecisionShape, envs: object) -> None:
    if not isinstance(envs, VectorEnv):
        raise InputError(
            f"{type(envs).__name__} was given to play in; give a vector of environments, as gymnasium.make_vec makes"
        )
    observed, acted = envs.single_observation_space, envs.single_action_space
    wanted = f"MultiDiscrete({list(shape.observation_sizes)}) and Discrete({shape.n_actions})"
    fits = (
        isinstance(observed, MultiDiscrete)
        and tuple(observed.nvec.tolist()) == shape.observation_sizes
        and isinstance(acted, Discrete)
        and int(acted.n) == shape.n_actions
        and not observed.start.any()
        and acted.start == 0
    )
    if not fits:
        raise InputError(f"the environments have the spaces {observed} and {acted}; the agent was trained on {wanted}")
