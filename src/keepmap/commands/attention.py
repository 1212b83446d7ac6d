"""Looking at attention: statistics, pictures and insight of an agent's histories or of texts."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from keepmap import __version__
from keepmap.agents.acting.agent import Agent, load_agent
from keepmap.agents.checkpoints import EMBEDDED, newest_run
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.attention.request import indices
from keepmap.commands.attention_pictures import Pictures
from keepmap.commands.attention_samples import Sample, agent_samples, text_samples, trajectory_samples
from keepmap.commands.progress import progress_bar
from keepmap.core.files import make_folder
from keepmap.drawing.attention_heatmap import check_colours
from keepmap.drawing.parts.files import picture_formats
from keepmap.errors import InputError
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import guide_insight, suggest, verdicts
from keepmap.insight.verification import Verification
from keepmap.insight.verify_agent import verify_agent
from keepmap.insight.verify_texts import SHORTEST_TEXT, verify_texts
from keepmap.kv.comparison.results import write_json
from keepmap.language_model import LanguageModel, load_language_model
from keepmap.printing.attention import (
    insight_lines,
    layer_heading,
    overall,
    sample_block,
    suggestion_lines,
    verdict_lines,
)
from keepmap.printing.verification import verification_lines

__all__ = ["visualize_attention"]

SAMPLES, MOMENTS = 5, 3
MAX_LENGTH = 512
RESULT = "attention.json"
FORMAT = "keepmap-attention-run/2"
TRAJECTORY = "trajectory_0"


def visualize_attention(
    checkpoint: str | Path | None = None,
    model_name: str | Path | None = None,
    data_path: str | Path | None = None,
    text_field: str | None = None,
    samples: int | None = None,
    layers: Sequence[int] = (),
    goal: str | None = None,
    episodes: int | None = None,
    trajectory: bool = False,
    max_length: int | None = None,
    verify: bool = False,
    seed: int = 0,
    cmap: str = "viridis",
    dtype: str | None = None,
    device: str | None = None,
    output_dir: str | Path = "figs/attention",
    format: str = "png",
) -> tuple[AttentionProfile, ...]:
    """Show what an agent attends to in histories of goals that it never saw, or a language model in texts.

    The arguments are the options of `keepmap attention`, which `keepmap attention --help` describes.

    Returns:
        A profile of each sample; figures and `attention.json` lie in `output_dir`.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    formats = picture_formats(format)
    samples = (MOMENTS if trajectory else SAMPLES) if samples is None else samples
    for name, value, least in (("samples", samples, 1), ("seed", seed, 0)):
        if value < least:
            raise InputError(f"--{name} {value} was asked for; it must be {least} or more")
    if model_name is not None:
        agents_only = {"checkpoint": checkpoint, "goal": goal, "episodes": episodes, "trajectory": trajectory or None}
        _refuse(agents_only, "is for agents, and --model_name names a language model")
        if data_path is None:
            raise InputError("--model_name was given without texts; name a file with --data_path (keepmap sample-data)")
    else:
        texts_only = {"data_path": data_path, "text_field": text_field, "max_length": max_length}
        _refuse(texts_only | {"dtype": dtype, "device": device}, "is for language models; name one with --model_name")
    check_colours(cmap)
    host: Agent | LanguageModel
    if model_name is None:
        host, found, lines = _of_agent(checkpoint, goal, samples, episodes, trajectory, seed)
        n_layers = host.model.shape.n_layer
    else:
        assert data_path is not None
        length = MAX_LENGTH if max_length is None else max_length
        language_model = load_language_model(model_name, device=device or "auto", dtype=dtype or "auto")
        host, n_layers = language_model, language_model.n_layers
        found, lines = _of_texts(language_model, data_path, text_field or "text", samples, length)
    wanted = indices("layer", tuple(layers) or None, n_layers)
    # A trajectory has a folder of its own: neither kind of run takes away the other's figures.
    folder = make_folder(Path(output_dir) / TRAJECTORY if trajectory else Path(output_dir))
    print("\n".join(lines), flush=True)
    profiles = _profiles(host, found, wanted, seed)
    pictures = Pictures(folder, formats, cmap)
    document, suggested = _report(host, found, profiles, pictures, seed)
    if verify:
        document["verification"] = _verified(host, found, wanted, suggested, seed)
    pictures.remove_older(folder / RESULT)
    write_json(folder / RESULT, document | {"figures": pictures.written})
    print(f"\nFigures saved to: {pictures.folder}{os.sep}\nSaved {folder / RESULT}", flush=True)
    return profiles


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name} {why}; leave it out")


def _of_agent(
    checkpoint: str | Path | None, goal: str | None, samples: int, episodes: int | None, trajectory: bool, seed: int
) -> tuple[Agent, tuple[Sample, ...], list[str]]:
    """The agent, its contexts, and lines that say which they are."""
    newest = newest_run() if checkpoint is None else None
    agent = load_agent(checkpoint if checkpoint is not None else EMBEDDED if newest is None else newest)
    why = ""
    if checkpoint is None:
        why = " (the embedded agent: no checkpoint in runs)" if newest is None else " (the newest in runs)"
    choose = trajectory_samples if trajectory else agent_samples
    found = choose(agent, goal, samples, episodes, seed)
    shape = agent.model.shape
    return (
        agent,
        found,
        [
            f"Checkpoint: {agent.name}{why}",
            f"Transformer layers: {shape.n_layer}",
            f"Attention heads: {shape.n_head}",
            f"Context length: {agent.config.n_transit}",
            f"Histories: of {agent.config.alg} learners in {agent.room.name} {agent.room.size}x{agent.room.size}, "
            f"seed {seed}",
            *(f"  {one.heading}: {one.about}" for one in found),
        ],
    )


def _of_texts(
    language_model: LanguageModel, data_path: str | Path, text_field: str, samples: int, max_length: int
) -> tuple[tuple[Sample, ...], list[str]]:
    """The language model's texts, and lines that say which they are."""
    found, left_out = text_samples(language_model, data_path, text_field, samples, max_length)
    return found, [
        f"Model: {language_model.name}",
        f"Transformer layers: {language_model.n_layers}",
        f"Attention heads: {language_model.n_heads} ({language_model.n_kv_heads} KV heads)",
        f"Texts: {data_path}, at most {max_length} tokens of each",
        *(f"  {one.heading}: {one.about}, {len(one.looked)} tokens" for one in found),
        *left_out,
    ]


def _profiles(
    host: Agent | LanguageModel, found: Sequence[Sample], layers: Sequence[int], seed: int
) -> tuple[AttentionProfile, ...]:
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task("Profiles", total=float(len(found)))

        def one(index: int, sample: Sample) -> AttentionProfile:
            def tell(share: float) -> None:
                progress.update(task, completed=index + share)

            return profile_attention(host, sample.looked, layers=layers, seed=seed, progress=tell)

        return tuple(one(index, sample) for index, sample in enumerate(found))


def _report(
    host: Agent | LanguageModel,
    found: Sequence[Sample],
    profiles: Sequence[AttentionProfile],
    pictures: Pictures,
    seed: int,
) -> tuple[dict[str, object], dict[str, Suggestion]]:
    """Print and draw layer after layer; what was found, as JSON values, and what each rule suggests."""
    by_layer: list[dict[str, object]] = []
    every = [verdicts(profile) for profile in profiles]
    is_text = isinstance(host, LanguageModel)
    of = max(1, max(one.shape[2] for one in profiles) - profiles[0].n_sink) if is_text else None
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task("Layers", total=len(profiles[0].layers))
        for layer in profiles[0].layers:
            print("\n".join(layer_heading(layer)))
            figures = [profile.guide_statistics(layer) for profile in profiles]
            for sample, profile, statistics in zip(found, profiles, figures, strict=True):
                print("\n".join(sample_block(sample.heading, profile, statistics)), flush=True)
                pictures.sample(sample.stem, sample.heading, profile, layer)
            pictures.summary(layer, figures)
            insight = guide_insight(figures, of=of, n_sink=profiles[0].n_sink)
            of_layer = [[one for one in verdict if one.layer == layer] for verdict in every]
            lines = [*overall(figures, seed), *insight_lines(insight), *verdict_lines(of_layer)]
            print("\n".join(lines), flush=True)
            by_layer.append(
                {
                    "layer": layer,
                    "guide_statistics": figures,
                    "guide_insight": asdict(insight),
                    "verdicts": [[asdict(one) for one in verdict] for verdict in of_layer],
                }
            )
            progress.advance(task)
    if is_text:
        for sample, profile in zip(found, profiles, strict=True):
            pictures.grids(sample.stem, sample.heading, profile)
    suggestion = suggest(profiles)
    print("\n".join(suggestion_lines(suggestion)), flush=True)
    plain = _plain(
        {
            "format": FORMAT,
            "keepmap": __version__,
            "model": host.name,
            "queries": profiles[0].said,
            "seed": seed,
            "samples": [{"heading": one.heading, "about": one.about} for one in found],
            "layers": by_layer,
            "suggestion": asdict(suggestion),
        }
    )
    assert isinstance(plain, dict)
    return plain, {"guide": insight.suggested, "ours": suggestion}


def _verified(
    host: Agent | LanguageModel,
    found: Sequence[Sample],
    layers: Sequence[int],
    suggested: Mapping[str, Suggestion],
    seed: int,
) -> dict[str, object]:
    """Test the insight by deletion, and print what came of it."""
    with progress_bar(Console(stderr=True, highlight=False)) as progress:
        task = progress.add_task("Deletions", total=1.0)

        def tell(share: float) -> None:
            progress.update(task, completed=share)

        result: Verification
        if isinstance(host, Agent):
            contexts = [one.context for one in found if one.context is not None]
            result = verify_agent(host, contexts, layers=layers, seed=seed, progress=tell)
        else:
            texts = [one.looked for one in found if len(one.looked) >= SHORTEST_TEXT]
            if not texts:
                print(f"\nNothing to verify: all texts have fewer than {SHORTEST_TEXT} tokens", flush=True)
                return {}
            result = verify_texts(host, texts, layers=layers, suggested=suggested, seed=seed, progress=tell)
    short = len(found) - result.n_samples
    said = [f"Left out: {short} texts of fewer than {SHORTEST_TEXT} tokens"] if short else []
    print("\n".join(["", *verification_lines(result), *said]), flush=True)
    plain = _plain(asdict(result))
    assert isinstance(plain, dict)
    return plain


def _plain(value: object) -> object:
    """As JSON has it: no NaN, no infinity, no tuples."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
