"""The two wings of `keepmap attention`: where model and samples come from, and what is done for one wing alone."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from keepmap.agents.acting import Agent, hash_of_agent, load_agent
from keepmap.agents.checkpoints import EMBEDDED, newest_run
from keepmap.attention import AttentionProfile
from keepmap.commands.looking.pictures import Pictures
from keepmap.commands.looking.samples import Sample, agent_samples, text_samples, trajectory_samples
from keepmap.core.joining.plugins import plugins
from keepmap.core.progress import Progress
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines, hash_of_tensors
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.units import Recorded
from keepmap.core.versions import versions
from keepmap.errors import InputError, counted, on_one_line
from keepmap.insight import Suggestion, Verification
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import SHORTEST_TEXT, ForgetfulText, n_passes, verify_texts
from keepmap.language_model import LanguageModel, load_language_model

__all__ = ["AgentWing", "TextWing", "Wing", "refuse_others_options"]

MAX_LENGTH = 512

_AGENTS = "is for agents, and `model_name` names a language model; leave it out"
_TEXTS = "is for language models; name one with `model_name`, or leave it out"
OTHERS_OPTIONS = {
    True: dict.fromkeys(("checkpoint", "goal", "episodes", "trajectory"), _AGENTS),
    False: dict.fromkeys(
        ("data_path", "text_field", "chat_template", "strict", "max_length", "dtype", "device"), _TEXTS
    ),
}
"""Whether a language model is named -> the options of the other wing, and why each is refused."""


def refuse_others_options(model_name: object, options: Mapping[str, object]) -> None:
    """Refuse options of the wing that is not looked at.

    Args:
        options: what was given by name; None and False where it was not.

    Raises:
        InputError: one was given.
    """
    for name, why in OTHERS_OPTIONS[model_name is not None].items():
        if options[name] is not None and options[name] is not False:
            raise InputError(f"`{name}` {why}")


class Wing(ABC):
    """A model and its samples, as `keepmap attention` needs them.

    Attributes:
        samples: what is looked at. lines: for the console, which model and samples these are.
        independent: whether the samples are; moments of one life are not.
        quick: whether all layers are tested by deletion unless some are named.
        grids: whether few layers have them too. packages: that take part in its numbers.
    """

    samples: tuple[Sample, ...]
    lines: list[str]
    independent: bool
    quick: ClassVar[bool]
    grids: ClassVar[bool]
    packages: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def model(self) -> Agent | LanguageModel:
        """The model that is profiled."""

    @property
    @abstractmethod
    def n_layers(self) -> int:
        """How many layers the model has."""

    @classmethod
    def known(cls, options: Mapping[str, object]) -> Identity:
        """A look of this wing, as far as it is known before anything is loaded."""
        return Identity(
            verb="attention",
            options={name: str(value) if isinstance(value, Path) else value for name, value in options.items()},
            versions=versions(*cls.packages),
            hashes={"plugins": hash_of_files(plugins())},
        )

    def identity(self, options: Mapping[str, object]) -> Identity:
        """A look at this model and these samples; whether it is verified, it is the same one."""
        return self.known(options).with_hashes(**self.hashes())

    def data_record(self) -> dict[str, object]:
        """What attention.json says of how the samples were read."""
        return {}

    @abstractmethod
    def hashes(self) -> dict[str, str]:
        """Of what was loaded and read, by what it is of."""

    @abstractmethod
    def draw_whole(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """The pictures of all layers together, where this wing has some."""

    @abstractmethod
    def draw_many(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """The pictures of many layers, some to a page."""

    @abstractmethod
    def verify_plan(self, layers: Sequence[int]) -> list[str]:
        """What the test by deletion will do, and how long that takes."""

    @abstractmethod
    def verify(
        self,
        layers: Sequence[int],
        suggested: Mapping[str, Suggestion],
        seed: int,
        progress: Progress,
        recorded: Recorded,
    ) -> tuple[Verification | None, list[str]]:
        """The test by deletion, None where no sample is long enough; and lines on what was left out of it.

        Args:
            suggested: what was printed, by rule.
            recorded: what keeps the finished parts of it.
        """


@dataclass(frozen=True)
class AgentWing(Wing):
    """An agent and histories of learners."""

    agent: Agent
    samples: tuple[Sample, ...]
    lines: list[str]
    independent: bool

    quick: ClassVar[bool] = True
    grids: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("torch", "numpy", "gymnasium", "matplotlib")

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None,
        goal: str | None,
        samples: int,
        episodes: int | None,
        trajectory: bool,
        seed: int,
    ) -> "AgentWing":
        """The agent of a checkpoint, by default the newest in runs or else the embedded one, and its samples.

        Raises:
            KeepmapError: as `load_agent`, `agent_samples` and `trajectory_samples`.
        """
        newest = newest_run() if checkpoint is None else None
        agent = load_agent(checkpoint if checkpoint is not None else EMBEDDED if newest is None else newest)
        why = ""
        if checkpoint is None:
            why = " (the embedded agent: no checkpoint in runs)" if newest is None else " (the newest in runs)"
        choose = trajectory_samples if trajectory else agent_samples
        chosen_samples, shape = choose(agent, goal, samples, episodes, seed), agent.model.shape
        lines = [
            f"Checkpoint: {on_one_line(agent.name)}{why}",
            f"Transformer layers: {shape.n_layer}",
            f"Attention heads: {shape.n_head}",
            f"Context length: {agent.config.n_transit}",
            f"Histories: of {agent.config.alg} learners in {agent.room.title}, seed {seed}",
            *(f"  {sample.heading}: {sample.about}" for sample in chosen_samples),
        ]
        return cls(agent, chosen_samples, lines, independent=not trajectory)

    @property
    def model(self) -> Agent:
        """The agent that is profiled."""
        return self.agent

    @property
    def n_layers(self) -> int:
        """How many layers the agent's transformer has."""
        return self.agent.model.shape.n_layer

    def hashes(self) -> dict[str, str]:
        """Of the agent; what its learners do follows from the options."""
        return {"checkpoint": hash_of_agent(self.agent)}

    def draw_whole(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """Nothing: an agent has few layers, and each has pictures of its own."""

    def draw_many(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """Some layers to a page, and all of them as a grid."""
        pictures.pages(self.samples[0].stem, self.samples[0].title, profiles[0])
        for sample, profile in zip(self.samples, profiles, strict=True):
            pictures.grids(sample.stem, sample.title, profile)

    def verify_plan(self, layers: Sequence[int]) -> list[str]:
        """Nothing to say: an agent is quick."""
        return []

    def verify(
        self,
        layers: Sequence[int],
        suggested: Mapping[str, Suggestion],
        seed: int,
        progress: Progress,
        recorded: Recorded,
    ) -> tuple[Verification | None, list[str]]:
        """The test by the agent's contexts; what is suggested follows from the same ones."""
        contexts = [sample.context for sample in self.samples if sample.context is not None]
        result = verify_agent(self.agent, contexts, layers=layers, seed=seed, progress=progress, recorded=recorded)
        return result, []


@dataclass(frozen=True, kw_only=True)
class TextWing(Wing):
    """A language model and the texts that it reads."""

    language_model: LanguageModel
    samples: tuple[Sample, ...]
    lines: list[str]
    chat_template: bool
    skipped: tuple[str, ...]
    independent: bool = True

    quick: ClassVar[bool] = False
    grids: ClassVar[bool] = True
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers", "numpy", "matplotlib")

    @classmethod
    def load(
        cls,
        model_name: str | Path,
        data_path: str | Path | None,
        text_field: str | None,
        samples: int,
        max_length: int | None,
        dtype: str | None,
        device: str | None,
        *,
        chat_template: bool,
        strict: bool,
    ) -> "TextWing":
        """The model of this name, and the first texts of a file or a folder.

        Raises:
            KeepmapError: no file was named, or as `load_language_model` and `text_samples`.
        """
        if data_path is None:
            raise InputError("`model_name` was given without texts; name a file with `data_path` (keepmap sample-data)")
        most = MAX_LENGTH if max_length is None else max_length
        language_model = load_language_model(model_name, device=device or "auto", dtype=dtype or "auto")
        chosen_samples, skipped = text_samples(
            language_model,
            data_path,
            text_field or "text",
            samples,
            most,
            chat_template=chat_template,
            strict=strict,
        )
        few = f"  {len(chosen_samples)} of {samples} samples"
        if not skipped:
            few += f": {on_one_line(Path(data_path).name)} has no more texts"
        lines = [
            f"Model: {on_one_line(language_model.name)}",
            f"Transformer layers: {language_model.n_layers}",
            f"Attention heads: {language_model.n_heads} ({language_model.n_kv_heads} KV heads)",
            f"Texts: {on_one_line(data_path)}, at most {counted(most, 'token')} of each",
            *(
                f"  {sample.heading}: {on_one_line(sample.about)}, {counted(len(sample.looked), 'token')}"
                for sample in chosen_samples
            ),
            *([few] if len(chosen_samples) < samples else []),
            *(f"  Skipped: {on_one_line(text)}" for text in skipped),
        ]
        return cls(
            language_model=language_model,
            samples=chosen_samples,
            lines=lines,
            chat_template=chat_template,
            skipped=skipped,
        )

    @property
    def model(self) -> LanguageModel:
        """The language model that is profiled."""
        return self.language_model

    def data_record(self) -> dict[str, object]:
        """Whether the texts are in a chat template, and what was skipped."""
        return {"chat_template": self.chat_template, "skipped": list(self.skipped)}

    def hashes(self) -> dict[str, str]:
        """Of the weights, and of the tokens with where they are from."""
        texts = [(sample.about, sample.looked.tolist()) for sample in self.samples]
        return {
            "model": hash_of_tensors(self.language_model.model.state_dict()),
            "data": hash_of_lines([*texts, *self.skipped]),
            "device": self.language_model.device.type,
        }

    @property
    def n_layers(self) -> int:
        """How many layers the language model has."""
        return self.language_model.n_layers

    def draw_many(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """Some layers of the first text to a page."""
        pictures.pages(self.samples[0].stem, self.samples[0].title, profiles[0])

    def verify_plan(self, layers: Sequence[int]) -> list[str]:
        """How many passes over how long texts, and from the time of the first, how long they take."""
        texts = self._long_texts
        if not texts:
            return []
        start = time.perf_counter()
        ForgetfulText(self.language_model, texts[0])
        minutes = (time.perf_counter() - start) * n_passes(len(texts), len(layers)) / 60
        return [
            f"Deletions in {counted(len(layers), 'layer')} of {self.n_layers} ({', '.join(map(str, layers))}; "
            f"--layers names others): at most {n_passes(len(texts), len(layers))} passes, about "
            + (f"{minutes:.0f} min" if minutes >= 1 else "a minute")
        ]

    @property
    def _long_texts(self) -> list[Tensor]:
        """The samples that are long enough to be halved."""
        return [sample.looked for sample in self.samples if len(sample.looked) >= SHORTEST_TEXT]

    def draw_whole(self, pictures: Pictures, profiles: Sequence[AttentionProfile]) -> None:
        """A grid of layers and heads for each sample."""
        for sample, profile in zip(self.samples, profiles, strict=True):
            pictures.grids(sample.stem, sample.title, profile)

    def verify(
        self,
        layers: Sequence[int],
        suggested: Mapping[str, Suggestion],
        seed: int,
        progress: Progress,
        recorded: Recorded,
    ) -> tuple[Verification | None, list[str]]:
        """The test by the texts that are long enough to be halved."""
        texts = self._long_texts
        if not texts:
            return None, [f"Nothing to verify: all texts have fewer than {SHORTEST_TEXT} tokens"]
        short = len(self.samples) - len(texts)
        left_out = [f"Left out: {counted(short, 'text')} of fewer than {SHORTEST_TEXT} tokens"] if short else []
        result = verify_texts(
            self.language_model,
            texts,
            layers=layers,
            suggested=suggested,
            seed=seed,
            progress=progress,
            recorded=recorded,
        )
        return result, left_out
