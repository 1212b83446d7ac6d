"""A name from a file that a terminal, a page or a figure would obey is shown as it is written, everywhere."""

import contextlib
import dataclasses
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import keepmap
from keepmap.attention.profile import AttentionProfile
from keepmap.cli import main
from keepmap.core.keep_map import KeepMap
from keepmap.drawing.parts.files import save_figure, whole_figure
from keepmap.drawing.parts.style import figure_style
from tests.conformance.test_every_figure import FIGURES, KEPT, TRANSITIONS
from tests.drawing.maps import streaming
from tests.drawing.profiles import profile_of
from tests.drawing.test_answers_by_memory import run_of
from tests.drawing.test_cache_bytes import report
from tests.drawing.test_compressor_study import study
from tests.drawing.test_cost_by_footprint import comparison
from tests.drawing.test_learning_curve import learner
from tests.drawing.test_transfer_matrix import matrix

EVIL = "$x^$<b>\x1b[2J\u202e{"
SHOWN = "$x^$<b>\\x1b[2J\\u202e{"


def hostile_map() -> KeepMap:
    keep_map = streaming(60)
    info = {"label": EVIL, "method": EVIL, "model": EVIL, "rule": EVIL}
    return KeepMap(keep_map.expires, keep_map.scores, info=info)


def hostile_profile() -> AttentionProfile:
    profile = profile_of(name=EVIL)
    return dataclasses.replace(profile, labels=tuple(EVIL for _ in profile.labels or ()) or None)


def hostile_comparison() -> keepmap.Comparison:
    plain = comparison()
    named = tuple(dataclasses.replace(row, method=f"{EVIL} {number}") for number, row in enumerate(plain.methods))
    return dataclasses.replace(plain, methods=named, configuration={**plain.configuration, "model_name": EVIL})


def hostile_tasks() -> keepmap.TaskRun:
    plain = run_of()
    answers = tuple(dataclasses.replace(row, label=f"{row.label} {EVIL}") for row in plain.answers)
    return dataclasses.replace(plain, answers=answers, card={**plain.card, "model": EVIL})


def hostile_study() -> keepmap.Study:
    plain = study()
    return dataclasses.replace(plain, options={**plain.options, "environment": EVIL})


def hostile_generation() -> keepmap.Generation:
    plain = keepmap.generate("tiny", "The code of river", "random", density=0.5, window=2, max_new_tokens=1)
    return dataclasses.replace(plain, keep_map=hostile_map())


VALUES: dict[str, Callable[[], Any]] = {
    "KeepMap": hostile_map,
    "AttentionProfile": hostile_profile,
    "Comparison": hostile_comparison,
    "Study": hostile_study,
    "TaskRun": hostile_tasks,
    "Generation": hostile_generation,
    "LanguageModel": lambda: dataclasses.replace(keepmap.load_language_model("tiny", device="cpu"), name=EVIL),
    "Agent": lambda: dataclasses.replace(keepmap.load_agent("tiny"), name=EVIL),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_shows_its_names_as_escapes(name: str) -> None:
    value = VALUES[name]()
    page = value._repr_html_()
    assert not {"\x1b", "\u202e"} & {*repr(value), *page} and "<b>\\x" not in page
    if name not in ("Comparison", "Study"):
        assert SHOWN in repr(value)


def test_histories_show_their_path_and_their_source_as_escapes(tmp_path: Path) -> None:
    histories = keepmap.collect("darkroom", size=3, learners=1, episodes=2, out=tmp_path / "small.hdf5")
    hostile = dataclasses.replace(histories, path=Path(EVIL), source=EVIL)
    assert not {"\x1b", "\u202e"} & {*repr(hostile), *hostile._repr_html_()} and SHOWN in repr(hostile)


DRAWN: dict[str, Callable[..., Any]] = {
    **{name: lambda name=name, **words: getattr(keepmap.draw, name)(hostile_profile(), **words)
       for name in ("attention_grid", "attention_heatmap", "attention_lines", "attention_pages")},
    **{name: lambda name=name, **words: getattr(keepmap.draw, name)(hostile_map(), **words)
       for name in ("compression_heatmap", "keep_map_by_layer", "keep_map_lifetimes")},
    "attention_summary": FIGURES["attention_summary"],
    **{name: lambda name=name, **words: getattr(keepmap.draw, name)(hostile_tasks(), **words)
       for name in ("answers_by_memory", "evidence_kept")},
    "cache_bytes": lambda **words: keepmap.draw.cache_bytes({EVIL: report()}, **words),
    "compressor_study": lambda **words: keepmap.draw.compressor_study(hostile_study(), **words),
    "cost_by_footprint": lambda **words: keepmap.draw.cost_by_footprint(hostile_comparison(), **words),
    "kept_transitions": lambda **words: keepmap.draw.kept_transitions({EVIL: KEPT["recency"]}, **TRANSITIONS, **words),
    "learning_curve": lambda **words: keepmap.draw.learning_curve({EVIL: learner(episodes=30)}, **words),
    "trajectory": FIGURES["trajectory"],
    "transfer_matrix": lambda **words: keepmap.draw.transfer_matrix(matrix((EVIL, "none", "recency")), **words),
}  # fmt: skip


def test_every_figure_is_here() -> None:
    assert DRAWN.keys() == FIGURES.keys()


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("title", [None, EVIL])
def test_a_figure_shows_names_as_they_are_written(name: str, title: str | None, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph")  # one that no font has
        drawn = DRAWN[name](title=title, caption=EVIL)
        (path,) = save_figure(whole_figure(drawn), tmp_path, "picture", ("svg",))
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text and "\u202e" not in text
    assert "\\x1b[2J" in text


def test_a_user_s_axes_show_them_too(tmp_path: Path) -> None:
    figure = Figure()
    ax = figure.add_subplot()
    keepmap.draw.kept_transitions({EVIL: np.array([True, False, True])}, **TRANSITIONS, ax=ax)
    keepmap.draw.learning_curve({EVIL: learner(episodes=30)}, ax=figure.add_subplot(), title=EVIL)
    with figure_style():
        (path,) = save_figure(figure, tmp_path, "picture", ("svg",))
    assert "\\x1b[2J" in path.read_text(encoding="utf-8")


def clean(capfd: pytest.CaptureFixture[str]) -> str:
    """What a command printed, which holds nothing that a terminal obeys."""
    out, err = capfd.readouterr()
    assert not {"\x1b", "\u202e"} & {*out, *err}
    assert all(len(line) <= 400 for line in err.splitlines())
    return out + err


@pytest.mark.parametrize(
    "values",
    [
        {"architectures": [EVIL * 100], "is_encoder_decoder": True},
        {"model_type": EVIL},
        {"transformers_weights": EVIL},
        {"attn_implementation": f"{EVIL}/{EVIL}"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_a_model_s_words_in_an_error(
    values: dict[str, Any], tmp_path: Path, model_folder: Path, data_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | values), encoding="utf-8")
    words = ["--methods", "random", "--output_dir", str(tmp_path / "out")]
    assert main(["compare", "--model_name", str(folder), "--data_path", str(data_file), *words]) == 2
    assert "\\x1b[2J" in clean(capfd)


def test_a_run_on_files_with_such_names(
    tmp_path: Path, model_folder: Path, data_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, data = tmp_path / EVIL, tmp_path / f"{EVIL}.jsonl"
    shutil.copytree(model_folder, folder)
    data.write_text(json.dumps({"text": EVIL * 4}) + "\n" + json.dumps({"text": 3}) + "\n", encoding="utf-8")
    words = ["--methods", "random", "streaming_llm", "--sliding_window_size", "4", "--output_dir", str(tmp_path / EVIL)]
    main(["compare", "--model_name", str(folder), "--data_path", str(data), *words])
    assert "\\x1b[2J" in clean(capfd)


def test_an_agent_s_checkpoint_with_such_a_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / EVIL
    shutil.copytree(Path(keepmap.__file__).parent / "embedded" / "agent", folder)
    assert main(["evaluate", "--checkpoint", str(folder), "--episodes", "2", "--goals", "0,0"]) == 0
    assert "\\x1b[2J" in clean(capfd) and list(folder.rglob("*.png"))
    facts = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    facts["config"]["env"] = EVIL  # from before there was a checksum
    (folder / "checkpoint.json").write_text(json.dumps(facts), encoding="utf-8")
    assert main(["evaluate", "--checkpoint", str(folder), "--episodes", "2"]) == 2
    assert "\\x1b[2J" in clean(capfd)


FOLDER = "out\nerror: forged\x1b[2J\t"


@pytest.mark.parametrize(
    "words",
    [
        ["sample-data", "--n_samples", "1", "--out", "{}/data.jsonl"],
        ["collect", "--size", "3", "--horizon", "4", "--learners", "2", "--episodes", "1", "--out", "{}/h.hdf5"],
        ["compressors", "--n_transit", "8", "--output_dir", "{}/kept"],
        ["evaluate", "--goals", "7,2", "--episodes", "1", "--output_dir", "{}/returns"],
        ["attention", "--goal", "7,2", "--samples", "1", "--layers", "0", "--output_dir", "{}/look"],
        ["generate", "--prompt_file", "{}/text.txt", "--max_new_tokens", "1", "--output_dir", "{}/answer"],
        ["compare", "--data_path", "{}/text.txt", "--methods", "random", "--no_visualize", "--output_dir", "{}/costs"],
        ["report", "{}/costs", "--out", "{}/page.html"],
        ["runs", "{}"],
    ],
    ids=lambda words: words[0],
)
def test_a_folders_name_is_on_one_line(
    words: list[str], tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    top = tmp_path_factory.getbasetemp() / "one-line"  # a report and a list of runs are of what was done before
    (top / FOLDER).mkdir(parents=True, exist_ok=True)
    (top / FOLDER / "text.txt").write_text("The code of river is 4821. " * 4)
    with contextlib.chdir(top):
        if words[0] == "report":
            compared = [word.format(FOLDER) for word in ("compare", "--data_path", "{}/text.txt", "--output_dir")]
            assert main([*compared, f"{FOLDER}/costs", "--methods", "random", "--no_visualize"]) == 0
        capsys.readouterr()
        assert main([word.format(FOLDER) for word in words]) == 0
    out = capsys.readouterr().out
    assert "out\\nerror: forged\\x1b[2J\\t" in out
    assert not [line for line in out.splitlines() if "forged" in line and "out\\n" not in line]
