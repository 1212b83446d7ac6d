"""Looking at attention: statistics, pictures and insight of an agent's histories or of texts."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from keepmap import __version__
from keepmap.attention import AttentionProfile, indices, profile_attention
from keepmap.commands.looking.pictures import FEW, Pictures, picture_files
from keepmap.commands.looking.wings import AgentWing, TextWing, Wing, refuse_others_options
from keepmap.commands.progress import progress_bar, saying_what_is_kept, share_of_work
from keepmap.core.arguments import as_flag, as_integer, as_path
from keepmap.core.files import write_text
from keepmap.core.progress import Progress, part_of
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.index import INDEX
from keepmap.core.runs.place import folder_for, require_place
from keepmap.core.runs.records import read_record, sync
from keepmap.core.runs.units import Once, Units
from keepmap.core.storage.documents import write_document
from keepmap.drawing import check_colours, picture_formats
from keepmap.errors import InputError, escaped, on_one_line
from keepmap.insight import FILE, GuideInsight, Suggestion, as_document, verification_of
from keepmap.insight.verdicts import layer_guide, leading_sinks, suggest, telling_layers, verdicts
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
MOST = 100_000
"""Samples, at most: each has a profile of its own."""
FORMAT = "keepmap-attention-run/2"
USUAL, TRAJECTORY = Path("figs", "attention"), "trajectory_0"
"""Where figures go; a trajectory has a folder of its own in it."""

FILES = (FILE, INDEX)
"""What every look writes beside its pictures."""
VERIFIED = "verification.json"
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
    output_dir: str | Path | None = None,
    overwrite: bool = False,
    format: str = "png",
) -> tuple[AttentionProfile, ...]:
    """Show what an agent attends to in histories of goals that it never saw, or a language model in texts.

    The arguments are the options of `keepmap attention`, which `keepmap attention --help` describes. The results have
    the same bytes on every run, and after any number of stops: the same call goes on where it was.

    Args:
        overwrite: whether what another run made in the folder is removed; without it, that is an error. Where no
            `output_dir` is given, another run has another folder.

    Returns:
        A profile of each sample; figures and `attention.json` lie in the folder. Profiles that an earlier call has left
        there hold no queries and keys.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
        KeyboardInterrupt: Ctrl-C; what is finished is kept.
    """
    if verbose and quiet:
        raise InputError("expected one of `verbose` and `quiet` to be given, got both; leave one out")
    formats = picture_formats(format)
    n_samples = as_integer("samples", (MOMENTS if trajectory else SAMPLES) if samples is None else samples, 1, MOST)
    seed, overwrite = as_integer("seed", seed), as_flag("overwrite", overwrite)
    named = None if output_dir is None else as_path("output_dir", output_dir)
    options: dict[str, Any] = {
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
    }
    refuse_others_options(model_name, options)
    check_colours(cmap)
    options |= {"samples": n_samples, "seed": seed, "cmap": cmap}
    if model_name is not None and named is not None:
        known = {name: value for name, value in options.items() if name != "device"} | {"model_name": str(model_name)}
        require_place(named, TextWing.known(known), FILES, overwrite=overwrite)
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
    del options["device"]  # its kind decides, which the wing knows
    options["layers"] = list(measured) if layers else "all"
    options["checkpoint" if model_name is None else "model_name"] = wing.model.name
    identity = wing.identity(options)
    # A trajectory has a folder of its own: neither kind of run takes away the other's figures.
    usual = USUAL / TRAJECTORY if trajectory else USUAL
    if named is not None:
        folder = named / TRAJECTORY if trajectory else named
    else:
        folder = usual if overwrite else folder_for(usual, identity)
    with RunFolder(folder, identity, overwrite=overwrite) as place:
        place.check(FILES)
        return _Look(wing, measured, place, formats, cmap, seed).do(bool(layers), verify, verbose, quiet)


class _Look:
    """A run in its folder: profiles, what is said and drawn of them, and with `verify` the test by deletion."""

    def __init__(
        self, wing: Wing, layers: Sequence[int], place: RunFolder, formats: Sequence[str], cmap: str, seed: int
    ) -> None:
        self._wing, self._layers, self._place, self._seed = wing, layers, place, seed
        self._folder, self._many = place.folder, len(layers) > FEW
        self._grids = wing.grids or self._many
        self._pictures = Pictures(folder=place.folder, formats=formats, cmap=cmap, model=wing.model.name)

    def do(self, layers_are_named: bool, verify: bool, verbose: bool, quiet: bool) -> tuple[AttentionProfile, ...]:
        wing, folder, pictures = self._wing, self._folder, self._pictures
        stems = [sample.stem for sample in wing.samples]
        figures = picture_files(stems, self._layers, self._grids, pictures.formats)
        blocks = [BLOCKS] if self._many else []
        names = list(map(_record, stems))
        self._place.begin([*names, *([VERIFIED] if verify else [])], [*FILES, *blocks, *map(_profile, stems), *figures])
        pictures.kept = self._place.goes_on
        if not quiet:
            print("\n".join(wing.lines), flush=True)
        units = Units(self._place, names)
        with saying_what_is_kept(lambda: f"{units.n_done} of {len(names)} samples looked at"):
            profiles = self._profiles(units)
            report = _Report(wing, profiles, pictures, self._seed)
            report.work_through(show=not self._many and not quiet)
            if self._many:
                wing.draw_many(pictures, profiles)
            wing.draw_whole(pictures, profiles)
            for sample, profile in zip(wing.samples, profiles, strict=True):
                pictures.joined(sample.stem, profile)
        if self._many:
            write_text(folder / BLOCKS, "\n".join([*wing.lines, *report.lines]).rstrip() + "\n")
            if not quiet:
                named = f"Layer by layer, with the guide's block of each sample: {on_one_line(folder / BLOCKS)}"
                print("\n".join([*report.summary, "", named]))
                if verbose:
                    print("\n".join(report.lines), flush=True)
        advice = [] if quiet else advice_lines()
        print("\n".join([*suggestion_lines(report.suggestion), *advice]), flush=True)
        verification = _verified_before(folder / VERIFIED, self._place.run)
        if verification is None:
            # What comes next may take long, and be stopped.
            write_document(folder / FILE, report.document | {"figures": pictures.written})
        if verify:
            chosen = self._layers if layers_are_named or wing.quick else telling_layers(report.by_sample)
            verification = _verified(wing, chosen, report.suggested, self._seed, quiet, self._place)
        if verification is not None:
            document = report.document | {"verification": verification["result"]}
            write_document(folder / FILE, document | {"figures": pictures.written})
        self._place.finish()
        print(f"\nFigures saved to: {on_one_line(folder)}{os.sep}\nSaved {on_one_line(folder / FILE)}", flush=True)
        return profiles

    def _profiles(self, units: Units) -> tuple[AttentionProfile, ...]:
        samples = self._wing.samples
        n = len(samples)
        with progress_bar(Console(stderr=True, highlight=False)) as bar:
            task = bar.add_task("Profiles", total=float(n))

            def progress(share: float) -> None:
                bar.update(task, completed=share * n)

            return tuple(self._profile(units, index, part_of(progress, index, n)) for index in range(n))

    def _profile(self, units: Units, index: int, progress: Progress) -> AttentionProfile:
        """That of an earlier start, where all pictures of the sample are there too; else one that can be drawn."""
        sample = self._wing.samples[index]
        path = self._folder / _profile(sample.stem)

        def look() -> AttentionProfile:
            model, layers = self._wing.model, self._layers
            return profile_attention(model, sample.looked, layers=layers, seed=self._seed, progress=progress)

        def work() -> AttentionProfile:
            profile = look()
            profile.save(path, overwrite=True)
            with suppress(OSError):
                sync(path)
            return profile

        def earlier(about: Any) -> AttentionProfile:
            try:
                return AttentionProfile.load(path)
            except InputError:
                raise ValueError("it is damaged") from None

        profile = units.value(_record(sample.stem), work, lambda _: sample.about, earlier)
        if profile.captured is None and not self._pictures.has_all_of(sample.stem, profile, self._grids, index == 0):
            return look()
        return profile


def _record(stem: str) -> str:
    return f"samples/{stem}.json"


def _profile(stem: str) -> str:
    return f"samples/{stem}.safetensors"


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
                self._pictures.sample(sample.stem, sample.title, profile, layer)
        if len(self._profiles[0].layers) <= FEW:
            self._pictures.summary(layer, figures, independent=self._wing.independent)
        independent = self._wing.independent
        insight = layer_guide(self._profiles, layer, independent=independent)
        of_layer = [[verdict for verdict in sample if verdict.layer == layer] for sample in self.by_sample]
        sinks = leading_sinks(self._profiles, layer, of_layer)
        n_sink = self._profiles[0].n_sink
        read = insight_lines(insight) if sinks is None else sink_lines(insight, sinks, of_layer, n_sink)
        self._say([*overall(figures, independent=independent), *read, *verdict_lines(of_layer)], show)
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


def _verified(
    wing: Wing,
    layers: Sequence[int],
    suggested: Mapping[str, Suggestion],
    seed: int,
    quiet: bool,
    place: RunFolder,
) -> Any:
    """Test the insight by deletion, where that is not done, and print what came of it; what is recorded of it."""
    whole, parts = Units(place, [VERIFIED]), list[Units]()

    def recorded(names: Sequence[str]) -> Once:
        place.add_units(names)
        parts.append(Units(place, names))
        return parts[0].once

    def work() -> Any:
        console = Console(stderr=True, highlight=False)
        if not quiet:
            for line in wing.verify_plan(layers):
                console.print(escaped(line), markup=False, soft_wrap=True)
        with share_of_work("Deletions", console) as progress:
            result, left_out = wing.verify(layers, suggested, seed, progress, recorded)
        return {"result": {} if result is None else as_document(result), "left_out": left_out}

    with saying_what_is_kept(lambda: f"{sum(part.n_done for part in parts)} parts of the test by deletion finished"):
        value = whole.value(VERIFIED, work, lambda value: value, _checked)
    result = verification_of(value["result"]) if value["result"] else None
    tested = [] if result is None else [repr(result)] if quiet else verification_lines(result)
    print("\n".join(["", *tested, *value["left_out"]]), flush=True)
    return value


def _checked(value: Any) -> Any:
    """What is recorded of a whole test, where it is that: what a folder holds may come from anywhere.

    Raises:
        ValueError, TypeError, KeyError: it is not.
    """
    try:
        if value["result"]:
            verification_of(value["result"])
        "\n".join(value["left_out"])
    except (InputError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from None
    return value


def _verified_before(path: Path, run: str) -> Any:
    """What an earlier start has recorded of a whole test; None where there is none."""
    record = read_record(path, run)
    try:
        return None if record is None else _checked(record["value"])
    except (ValueError, TypeError, KeyError):
        return None
