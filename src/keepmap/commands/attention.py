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
from keepmap.commands.progress import progress_bar, share_of_work
from keepmap.core.arguments import as_integer, as_path
from keepmap.core.files import make_folder, remove_files, write_text
from keepmap.core.progress import part_of
from keepmap.core.storage.documents import write_document
from keepmap.drawing import check_colours, picture_formats
from keepmap.errors import InputError, escaped
from keepmap.insight.document import FILE, as_document
from keepmap.insight.guide import GuideInsight
from keepmap.insight.suggestion import Suggestion
from keepmap.insight.verdicts import layer_guide, suggest, telling_layers, verdicts
from keepmap.printing.attention import (
    advice_lines,
    insight_lines,
    layer_heading,
    overall,
    sample_block,
    sink_lines,
    suggestion_lines,
    summary_lines,
    verdict_lines,
)
from keepmap.printing.verification import verification_lines

__all__ = ["visualize_attention"]

SAMPLES, MOMENTS = 5, 3
FORMAT = "keepmap-attention-run/2"
TRAJECTORY = "trajectory_0"
FEW = 4
"""Layers up to which each has lines and pictures of its own; of more, a summary comes first."""

BLOCKS = "attention_layers.txt"
"""Where the lines of many layers go."""


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
    verbose: bool = False,
    quiet: bool = False,
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
    if verbose and quiet:
        raise InputError("expected one of `verbose` and `quiet` to be given, got both; leave one out")
    formats = picture_formats(format)
    n_samples = as_integer("samples", (MOMENTS if trajectory else SAMPLES) if samples is None else samples, 1)
    seed = as_integer("seed", seed)
    place = as_path("output_dir", output_dir)
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
    folder = make_folder(place / TRAJECTORY if trajectory else place)
    if not quiet:
        print("\n".join(wing.lines), flush=True)
    profiles = _profiles(wing, measured, seed)
    many = len(measured) > FEW
    pictures = Pictures(folder, formats, cmap, wing.model.name)
    report = _Report(wing, profiles, pictures, seed)
    report.work_through(show=not many and not quiet)
    if many:
        wing.draw_many(pictures, profiles)
    wing.draw_whole(pictures, profiles)
    for sample, profile in zip(wing.samples, profiles, strict=True):
        pictures.joined(sample.stem, profile)
    blocks = folder / BLOCKS
    if many:
        write_text(blocks, "\n".join([*wing.lines, *report.lines]).rstrip() + "\n")
        if not quiet:
            print("\n".join([*report.summary, "", f"Layer by layer, with the guide's block of each sample: {blocks}"]))
            if verbose:
                print("\n".join(report.lines), flush=True)
    else:
        remove_files([blocks])
    advice = [] if quiet else advice_lines()
    print("\n".join([*suggestion_lines(report.suggestion), *advice]), flush=True)
    pictures.remove_older(folder / FILE)
    document = report.document | {"figures": pictures.written}
    write_document(folder / FILE, document)  # what comes next may take long, and be stopped
    if verify:
        chosen = measured if layers or wing.quick else telling_layers(report.by_sample)
        verification = _verified(wing, chosen, report.suggested, seed, quiet)
        write_document(folder / FILE, report.document | {"verification": verification, "figures": pictures.written})
    print(f"\nFigures saved to: {pictures.folder}{os.sep}\nSaved {folder / FILE}", flush=True)
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


class _Report:
    """What is said of the layers, in lines and as JSON values.

    Attributes:
        by_sample: the verdicts. guides: the guide's insights by layer. suggestion: ours, over all layers and heads.
        lines: of all layers, one after the other.
    """

    def __init__(self, wing: Wing, profiles: Sequence[AttentionProfile], pictures: Pictures, seed: int) -> None:
        self._wing, self._profiles, self._pictures, self._seed = wing, profiles, pictures, seed
        self.by_sample = [verdicts(profile) for profile in profiles]
        self.suggestion = suggest(profiles)
        self.guides: dict[int, GuideInsight] = {}
        self.lines: list[str] = []
        self._by_layer: list[dict[str, object]] = []

    def work_through(self, show: bool) -> None:
        """Go through the layers; with `show`, print and draw each of them as it comes."""
        with progress_bar(Console(stderr=True, highlight=False)) as bar:
            task = bar.add_task("Layers", total=len(self._profiles[0].layers))
            for layer in self._profiles[0].layers:
                self._add(layer, show)
                bar.advance(task)

    def _add(self, layer: int, show: bool) -> None:
        figures = [profile.guide_statistics(layer) for profile in self._profiles]
        self._say(layer_heading(layer), show)
        for sample, profile, statistics in zip(self._wing.samples, self._profiles, figures, strict=True):
            self._say(sample_block(sample.heading, profile, statistics), show)
            if len(profile.layers) <= FEW:
                self._pictures.sample(sample.stem, sample.heading, profile, layer)
        if len(self._profiles[0].layers) <= FEW:
            self._pictures.summary(layer, figures)
        insight = layer_guide(self._profiles, layer)
        of_layer = [[verdict for verdict in sample if verdict.layer == layer] for sample in self.by_sample]
        first = sum(sample["max_position"] == 0 for sample in figures)
        sinks = 2 * first > len(figures) and any(verdict.numbers.given for verdict in of_layer[0])
        read = sink_lines(insight, of_layer, self._profiles[0].n_sink) if sinks else insight_lines(insight)
        self._say([*overall(figures), *read, *verdict_lines(of_layer)], show)
        self.guides[layer] = insight
        self._by_layer.append(
            {"layer": layer, "guide_statistics": figures, "guide_insight": insight, "verdicts": of_layer}
        )

    def _say(self, lines: Sequence[str], show: bool) -> None:
        self.lines += lines
        if show:
            print("\n".join(lines), flush=True)

    @property
    def summary(self) -> list[str]:
        """The lines of the summary: a row for each layer, over all samples."""
        return summary_lines(self.by_sample, self.guides, self._profiles[0].n_sink)

    @property
    def suggested(self) -> dict[str, Suggestion]:
        """What each rule suggests, by its name; the guide's is that of the last layer."""
        return {"guide": list(self.guides.values())[-1].suggested, "ours": self.suggestion}

    @property
    def document(self) -> dict[str, object]:
        """What the run gave, as JSON values."""
        document: dict[str, object] = as_document(
            {
                "format": FORMAT,
                "keepmap": __version__,
                "model": self._wing.model.name,
                "queries": self._profiles[0].scope,
                "seed": self._seed,
                "samples": [{"heading": sample.heading, "about": sample.about} for sample in self._wing.samples],
                **self._wing.data_record(),
                "layers": self._by_layer,
                "suggestion": self.suggestion,
            }
        )
        return document


def _verified(wing: Wing, layers: Sequence[int], suggested: Mapping[str, Suggestion], seed: int, quiet: bool) -> object:
    """Test the insight by deletion, and print what came of it."""
    console = Console(stderr=True, highlight=False)
    if not quiet:
        for line in wing.verify_plan(layers):
            console.print(escaped(line), markup=False, soft_wrap=True)
    with share_of_work("Deletions", console) as progress:
        result, left_out = wing.verify(layers, suggested, seed, progress)
    tested = [] if result is None else [repr(result)] if quiet else verification_lines(result)
    print("\n".join(["", *tested, *left_out]), flush=True)
    return {} if result is None else as_document(result)
