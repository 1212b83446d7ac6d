"""Looking at attention: statistics, pictures and insight of an agent's histories or of texts."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from keepmap import __version__
from keepmap.attention.profile import AttentionProfile
from keepmap.attention.profiling import profile_attention
from keepmap.attention.request import indices
from keepmap.commands.attention_pictures import Pictures
from keepmap.commands.attention_wings import AgentWing, TextWing, Wing, refuse_others_options
from keepmap.commands.progress import progress_bar
from keepmap.core.arguments import as_integer
from keepmap.core.files import make_folder, write_json
from keepmap.core.progress import part_of
from keepmap.drawing import check_colours, picture_formats
from keepmap.insight.document import as_document
from keepmap.insight.guide import guide_insight
from keepmap.insight.subjects import subject_of
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import suggest, verdicts
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
RESULT = "attention.json"
FORMAT = "keepmap-attention-run/2"
TRAJECTORY = "trajectory_0"


def visualize_attention(
    checkpoint: str | Path | None = None,
    model_name: str | Path | None = None,
    data_path: str | Path | None = None,
    text_field: str | None = None,
    chat_template: bool = False,
    strict: bool = False,
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
    n_samples = as_integer("samples", (MOMENTS if trajectory else SAMPLES) if samples is None else samples, 1)
    seed = as_integer("seed", seed)
    refuse_others_options(
        model_name,
        {
            "checkpoint": checkpoint,
            "goal": goal,
            "episodes": episodes,
            "trajectory": trajectory,
            "data_path": data_path,
            "text_field": text_field,
            "chat_template": chat_template,
            "strict": strict,
            "max_length": max_length,
            "dtype": dtype,
            "device": device,
        },
    )
    check_colours(cmap)
    wing: Wing
    if model_name is None:
        wing = AgentWing.load(checkpoint, goal, n_samples, episodes, trajectory, seed)
    else:
        wing = TextWing.load(
            model_name,
            data_path,
            text_field,
            n_samples,
            max_length,
            dtype,
            device,
            chat_template=chat_template,
            strict=strict,
        )
    measured = indices("layer", tuple(layers) or None, wing.n_layers)
    # A trajectory has a folder of its own: neither kind of run takes away the other's figures.
    folder = make_folder(Path(output_dir) / TRAJECTORY if trajectory else Path(output_dir))
    print("\n".join(wing.lines), flush=True)
    profiles = _profiles(wing, measured, seed)
    pictures = Pictures(folder, formats, cmap)
    document, suggested = _report(wing, profiles, pictures, seed)
    if verify:
        document["verification"] = _verified(wing, measured, suggested, seed)
    pictures.remove_older(folder / RESULT)
    write_json(folder / RESULT, document | {"figures": pictures.written})
    print(f"\nFigures saved to: {pictures.folder}{os.sep}\nSaved {folder / RESULT}", flush=True)
    return profiles


def _profiles(wing: Wing, layers: Sequence[int], seed: int) -> tuple[AttentionProfile, ...]:
    n = len(wing.samples)
    with progress_bar(Console(stderr=True, highlight=False)) as bar:
        task = bar.add_task("Profiles", total=float(n))

        def progress(share: float) -> None:
            bar.update(task, completed=share * n)

        return tuple(
            profile_attention(wing.model, sample.looked, layers=layers, seed=seed, progress=part_of(progress, index, n))
            for index, sample in enumerate(wing.samples)
        )


def _report(
    wing: Wing, profiles: Sequence[AttentionProfile], pictures: Pictures, seed: int
) -> tuple[dict[str, object], dict[str, Suggestion]]:
    """Print and draw layer after layer; what was found, as JSON values, and what each rule suggests."""
    by_layer: list[dict[str, object]] = []
    by_sample = [verdicts(profile) for profile in profiles]
    subject = subject_of(profiles[0])
    with progress_bar(Console(stderr=True, highlight=False)) as bar:
        task = bar.add_task("Layers", total=len(profiles[0].layers))
        for layer in profiles[0].layers:
            print("\n".join(layer_heading(layer)))
            figures = [profile.guide_statistics(layer) for profile in profiles]
            for sample, profile, statistics in zip(wing.samples, profiles, figures, strict=True):
                print("\n".join(sample_block(sample.heading, profile, statistics)), flush=True)
                pictures.sample(sample.stem, sample.heading, profile, layer)
            pictures.summary(layer, figures)
            insight = guide_insight(figures, subject=subject, of=subject.positions(profiles))
            of_layer = [[verdict for verdict in sample if verdict.layer == layer] for sample in by_sample]
            lines = [*overall(figures), *insight_lines(insight), *verdict_lines(of_layer)]
            print("\n".join(lines), flush=True)
            by_layer.append(
                {
                    "layer": layer,
                    "guide_statistics": figures,
                    "guide_insight": insight,
                    "verdicts": of_layer,
                }
            )
            bar.advance(task)
    wing.draw_whole(pictures, profiles)
    for sample, profile in zip(wing.samples, profiles, strict=True):
        pictures.joined(sample.stem, profile)
    suggestion = suggest(profiles)
    print("\n".join(suggestion_lines(suggestion)), flush=True)
    document: dict[str, object] = as_document(
        {
            "format": FORMAT,
            "keepmap": __version__,
            "model": wing.model.name,
            "queries": profiles[0].scope,
            "seed": seed,
            "samples": [{"heading": sample.heading, "about": sample.about} for sample in wing.samples],
            **wing.data_record(),
            "layers": by_layer,
            "suggestion": suggestion,
        }
    )
    return document, {"guide": insight.suggested, "ours": suggestion}


def _verified(wing: Wing, layers: Sequence[int], suggested: Mapping[str, Suggestion], seed: int) -> object:
    """Test the insight by deletion, and print what came of it."""
    with progress_bar(Console(stderr=True, highlight=False)) as bar:
        task = bar.add_task("Deletions", total=1.0)

        def progress(share: float) -> None:
            bar.update(task, completed=share)

        result, left_out = wing.verify(layers, suggested, seed, progress)
    tested = [] if result is None else verification_lines(result)
    print("\n".join(["", *tested, *left_out]), flush=True)
    return {} if result is None else as_document(result)
