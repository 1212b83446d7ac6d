"""A trained agent: load it, let it act, see what it attends to."""

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int
from torch import Tensor

from keepmap.agents.acting.context import as_context, landmarks_of, layers_of
from keepmap.agents.acting.rollout import attended, play
from keepmap.agents.checkpoints import EMBEDDED, Checkpoint, find_checkpoint, load_tensors, read_checkpoint
from keepmap.agents.compressor import AS_TRAINED, Compressor, acting_compressor
from keepmap.agents.config import Config
from keepmap.agents.environments.goals import Goal
from keepmap.agents.environments.world import World
from keepmap.agents.history import History
from keepmap.agents.transformer import DecisionTransformer
from keepmap.attention import AttentionLayer, Landmarks
from keepmap.core.html import card
from keepmap.core.labels import model_label
from keepmap.core.progress import Progress
from keepmap.core.runs.hashes import hash_of_lines, hash_of_tensors
from keepmap.errors import InputError, ModelError, counted, kind_of

__all__ = ["Agent", "hash_of_agent", "load_agent"]


@dataclass(frozen=True, kw_only=True)
class Agent:
    """An agent that learns in its context, with what is known of its training.

    Attributes:
        name: "tiny", or the checkpoint's folder.
        model: its transformer, in eval mode.
        config: of its training.
        step: updates that it was trained for.
        train, held_out: the goals of either side; nothing of a held-out goal was in its training.

    >>> import keepmap
    >>> agent = keepmap.load_agent("tiny")
    >>> agent.room, agent.config.n_transit, agent.held_out[:2]
    (DarkRoom(size=9, horizon=20), 120, ((4, 2), (5, 6)))
    """

    name: str
    model: DecisionTransformer
    config: Config
    step: int
    train: tuple[Goal, ...]
    held_out: tuple[Goal, ...]

    def __repr__(self) -> str:
        shape = self.model.shape
        weights = sum(weight.numel() for weight in self.model.parameters())
        return (
            f"Agent({model_label(self.name)}: {self.config.model} for {self.room.title}, "
            f"{counted(self.step, 'update')}, "
            f"{counted(len(self.train), 'goal')} trained on and {len(self.held_out)} held out;\n  "
            f"{counted(shape.n_layer, 'layer')} x {counted(shape.n_head, 'head')}, "
            f"{weights:,} weights, a context of {self.config.n_transit} transitions, compressor {self.compressor})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: `repr`, and a table of the same facts."""
        shape = self.model.shape
        facts = {
            "room": f"{self.room.title}, episodes of {self.room.horizon} steps",
            "goals": f"{len(self.train)} trained on, {len(self.held_out)} held out",
            "training": f"{self.config.model}, {self.step:,} updates",
            "transformer": f"{counted(shape.n_layer, 'layer')} x {counted(shape.n_head, 'head')}, width {shape.n_embd}",
            "context": f"{self.config.n_transit} transitions, compressor {self.compressor}",
        }
        return card(f"Agent {model_label(self.name)}", ("", "value"), list(facts.items()))

    @property
    def room(self) -> World:
        """The environment that it was trained in."""
        return self.config.room()

    @property
    def compressor(self) -> Compressor | None:
        """What shortened its histories in training."""
        return self.config.make_compressor()

    def play(
        self,
        envs: "VectorEnv[Any, Any, Any]",
        episodes: int,
        *,
        seed: int = 0,
        compressor: Compressor | str | None = AS_TRAINED,
        progress: Progress | None = None,
    ) -> Float[np.ndarray, "n_envs episodes"]:
        """The return of each episode, from an empty history on in every environment; actions are sampled.

        >>> from keepmap.agents.environments.vector import RoomVectorEnv
        >>> agent = load_agent()
        >>> agent.play(RoomVectorEnv(agent.room, 2, agent.held_out[:2]), 3, compressor="recency").shape
        (2, 3)

        Args:
            envs: any Gymnasium vector of environments whose spaces hold the same whole numbers as the agent's:
                MultiDiscrete([9, 9]) and Box(0, 8, (2,), int32) are the same.
            seed: of the environments and of the actions; the same seed gives the same returns.
            compressor: what shortens the history before each action: one, or a name ("recency"), which has its usual
                options. By default "as_trained", what the agent was trained with (`agent.compressor`); None or "none"
                for the whole window.
            progress: called after every step with the share of the episodes that are over.

        Raises:
            InputError: other spaces than the agent's, no episodes, or no such compressor.
            ImpossibleResultError: rewards or logits that are not finite.
        """
        return play(
            self.model,
            envs,
            episodes,
            size=self.config.n_transit,
            slide=self.config.slide(),
            seed=seed,
            compressor=acting_compressor(compressor, self.compressor),
            progress=progress,
        )

    def attention(self, history: History, query_states: Int[Tensor, "B S"]) -> Float[Tensor, "B n"]:
        """How much the query state attends to each transition of this history: a mean over layers and heads.

        A row sums to 1 less what the query gives to itself. The query's time is that of the step after the last one.

        Raises:
            InputError: the history or the states do not fit the agent.
        """
        self._check(history, query_states)
        with torch.inference_mode():
            return attended(self.model, history, query_states)

    def attention_layers(self, inputs: object) -> list[AttentionLayer]:
        """What each layer attends with in one history; `keepmap.profile_attention(agent, history)` asks for it.

        Args:
            inputs: a Context or a History of one row, (history, query_states [1, S]), or (history, query_states, now
                [1]). By default the query's state is where the last transition led, and its time, `now`, the step after
                it. Transitions that are not valid are left out; the query is the last position.

        Raises:
            InputError: it does not fit the agent, or the last transition ended an episode and no state was given.
        """
        context = as_context(inputs, self.room.horizon)
        self._check(context.history, context.query_states)
        return layers_of(self.model, context)

    def landmarks(self, inputs: object) -> Landmarks:
        """Episodes, steps and rewards of the same positions."""
        return landmarks_of(as_context(inputs, self.room.horizon), self.room.horizon)

    def _check(self, history: History, query_states: Int[Tensor, "B S"]) -> None:
        sizes = self.model.shape.observation_sizes
        if not isinstance(history, History):
            raise InputError(f"expected `history` to be a History, got {kind_of(history)}")
        if not isinstance(query_states, Tensor):
            raise InputError(f"expected `query_states` to be a tensor, got {kind_of(query_states)}")
        if history.states.shape[-1] != len(sizes):
            raise InputError(
                f"expected `history` to have states of {len(sizes)} coordinates, as the agent's, got "
                f"{history.states.shape[-1]}"
            )
        if history.states.is_floating_point() or history.actions.is_floating_point():
            raise InputError("expected `history` to have whole numbers as states and actions, got floats")
        if query_states.is_floating_point() or query_states.shape != (len(history.valid), len(sizes)):
            raise InputError(
                f"expected `query_states` to be whole numbers of shape ({len(history.valid)}, {len(sizes)}), one row "
                f"for each history, got {query_states.dtype} of shape {tuple(query_states.shape)}"
            )
        if not history.rewards[history.valid].isfinite().all():
            raise InputError("the history has rewards that are not finite; an agent cannot read it")
        limits = torch.tensor(sizes, device=history.states.device)
        for name, values, most in (
            ("states", history.states, limits),
            ("next_states", history.next_states, limits),
            ("actions", history.actions, torch.tensor(self.model.shape.n_actions)),
            ("query states", query_states, limits),
        ):
            known = values if name == "query states" else values[history.valid]
            if known.numel() and bool(((known < 0) | (known >= most)).any()):
                raise InputError(
                    f"{name} hold {int(known.min())} to {int(known.max())}; the agent knows 0 to {int(most.max()) - 1}"
                )


def load_agent(path: "str | Path | Agent" = EMBEDDED) -> Agent:
    """Load an agent: "tiny", the one that the package ships, or a folder (a run's, or one of its checkpoints).

    >>> load_agent("tiny").room
    DarkRoom(size=9, horizon=20)

    Args:
        path: of the folder, or "tiny"; an Agent is given back as it is.

    Raises:
        ModelError: there is none, or it is damaged or does not fit its own configuration.
        InputError: neither an agent, a path nor a name.
    """
    if isinstance(path, Agent):
        return path
    if not isinstance(path, str | Path):
        raise InputError(
            f"expected `path` to be an agent, the folder of a run or of a checkpoint, or {EMBEDDED!r}, got "
            f"{kind_of(path)}"
        )
    if str(path) == EMBEDDED and not Path(path).exists():
        with as_file(files("keepmap.embedded") / "agent") as folder:
            return _loaded(read_checkpoint(folder), EMBEDDED)
    folder = find_checkpoint(path)
    return _loaded(read_checkpoint(folder), str(folder))


def hash_of_agent(agent: Agent) -> str:
    """Of what decides how it acts: its weights and its configuration; and of how long it was trained.

    >>> hash_of_agent(load_agent("tiny")) == hash_of_agent(load_agent("tiny"))
    True
    """
    return hash_of_lines([agent.step, agent.config, hash_of_tensors(agent.model.state_dict())])


def _loaded(checkpoint: Checkpoint, name: str) -> Agent:
    try:
        config = Config.from_dict(checkpoint.config)
    except InputError as error:
        raise ModelError(f"{checkpoint.folder}: {error}") from error
    model = DecisionTransformer(config.shape())
    tensors = load_tensors(checkpoint)
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    if expected != shapes:
        key = next(key for key in [*expected, *shapes] if expected.get(key) != shapes.get(key))
        raise ModelError(
            f"{checkpoint.folder} does not fit its configuration: {key} is {shapes.get(key, 'not there')}, "
            f"expected {expected.get(key, 'none')}; train the agent again"
        )
    model.load_state_dict(tensors)
    split = config.goal_split()
    for side, goals in (("train", split.train), ("held_out", split.held_out)):
        if checkpoint.facts[side] != [list(goal) for goal in goals]:
            raise ModelError(
                f"{checkpoint.folder} names other goals as {side} than its configuration does; train the agent again"
            )
    return Agent(
        name=name,
        model=model.eval(),
        config=config,
        step=checkpoint.step,
        train=split.train,
        held_out=split.held_out,
    )
