"""What all figures have in common: the same keywords with the same meaning, and one line for a wrong thing."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import keepmap.draw
from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError
from keepmap.kv.eviction.eviction import Eviction
from tests.drawing.maps import streaming
from tests.drawing.profiles import profile_of, words_of
from tests.drawing.test_answers_by_memory import run_of
from tests.drawing.test_cache_bytes import report
from tests.drawing.test_compressor_study import study
from tests.drawing.test_cost_by_footprint import comparison
from tests.drawing.test_learning_curve import learner
from tests.drawing.test_transfer_matrix import matrix

SAMPLES = [{"mean": 0.1, "std": 0.2, "entropy": nats, "recent_distant_ratio": 1.0} for nats in (1.2, 1.4)]
KEPT = {"recency": np.array([False, True, True]), "uniform": np.array([True, False, True])}
TRANSITIONS = {"rewards": np.array([0.0, 1.0, 0.0]), "episodes": np.array([1, 1, 2])}
CELLS = [[1, 1], [1, 2], [1, 1]]
WAY = {**TRANSITIONS, "actions": [3, 4, 4], "next_states": [[1, 2], [1, 2], [1, 1]]}

Drawn = Callable[..., "Axes | tuple[Axes, ...]"]

FIGURES: dict[str, Drawn] = {
    "answers_by_memory": lambda **words: keepmap.draw.answers_by_memory(run_of(), **words),
    "attention_grid": lambda **words: keepmap.draw.attention_grid(profile_of(), **words),
    "attention_heatmap": lambda **words: keepmap.draw.attention_heatmap(profile_of(), **words),
    "attention_lines": lambda **words: keepmap.draw.attention_lines(profile_of(), **words),
    "attention_pages": lambda **words: keepmap.draw.attention_pages(profile_of(), **words),
    "attention_summary": lambda **words: keepmap.draw.attention_summary(SAMPLES, **words),
    "cache_bytes": lambda **words: keepmap.draw.cache_bytes({"mine": report()}, **words),
    "compression_heatmap": lambda **words: keepmap.draw.compression_heatmap(streaming(200), **words),
    "compressor_study": lambda **words: keepmap.draw.compressor_study(study(), **words),
    "cost_by_footprint": lambda **words: keepmap.draw.cost_by_footprint(comparison(), **words),
    "evidence_kept": lambda **words: keepmap.draw.evidence_kept(run_of(), **words),
    "keep_map_by_layer": lambda **words: keepmap.draw.keep_map_by_layer(streaming(200), **words),
    "keep_map_lifetimes": lambda **words: keepmap.draw.keep_map_lifetimes(streaming(200), **words),
    "kept_transitions": lambda **words: keepmap.draw.kept_transitions(KEPT, **TRANSITIONS, **words),
    "learning_curve": lambda **words: keepmap.draw.learning_curve({"mine": learner(episodes=30)}, **words),
    "transfer_matrix": lambda **words: keepmap.draw.transfer_matrix(matrix(), **words),
    "trajectory": lambda **words: keepmap.draw.trajectory(CELLS, **WAY, **words),
}

CAPTIONS = {
    "answers_by_memory": "3 questions",
    "attention_grid": "2 layers x 4 heads",
    "attention_heatmap": "50 positions",
    "attention_lines": "query 49",
    "attention_pages": "50 positions",
    "attention_summary": "2 samples",
    "cache_bytes": "700 tokens",
    "compression_heatmap": "Overall density",
    "compressor_study": "95 % interval over",
    "cost_by_footprint": "4 texts",
    "evidence_kept": "density 0.5",
    "keep_map_by_layer": "2 layers x 2 KV heads",
    "keep_map_lifetimes": "footprint",
    "learning_curve": "95 % interval over",
    "trajectory": "3 steps",
    "transfer_matrix": "mean over 12 goals",
}


def first(drawn: "Axes | tuple[Axes, ...]") -> Axes:
    return drawn if isinstance(drawn, Axes) else drawn[0]


def test_all_figures_are_here() -> None:
    assert sorted(FIGURES) == [name for name in dir(keepmap.draw) if name != "save_figure"]


@pytest.mark.parametrize("name", FIGURES)
def test_the_keywords_are_the_same(name: str) -> None:
    parameters = inspect.signature(getattr(keepmap.draw, name)).parameters
    assert [parameters[word].default for word in ("title", "legend", "caption", "ax")] == [None, True, True, None]
    assert all(parameters[word].kind is inspect.Parameter.KEYWORD_ONLY for word in ("title", "legend", "caption"))


@pytest.mark.parametrize("name", FIGURES)
def test_titles_legends_and_captions_mean_the_same_everywhere(name: str) -> None:
    ax = first(FIGURES[name]())
    assert ax.get_title(loc="left") and ax.get_legend() is not None
    caption = CAPTIONS.get(name)
    assert caption is None or caption in words_of(ax)
    height = ax.figure.bbox.height
    for words in ({"title": ""}, {"legend": False}, {"caption": False}):
        other = first(FIGURES[name](**words))
        assert (other.get_title(loc="left") == "") == ("title" in words)
        assert (other.get_legend() is None) == ("legend" in words)
        assert caption is None or (caption not in words_of(other)) == ("caption" in words)
        nothing = (name == "kept_transitions" and "caption" in words) or (
            name == "attention_grid" and "legend" in words
        )
        assert nothing or other.figure.bbox.height < height, "what is left out leaves no gap"
        assert other.figure.get_label(), "the file says what it shows all the same"
    mine = first(FIGURES[name](title="mine", caption="my words"))
    assert mine.get_title(loc="left") == "mine" and "my words" in words_of(mine)
    assert caption is None or caption not in words_of(mine)


MODELS = {"tiny": "tiny", "/home/me/secret/distilled": "distilled"}


@pytest.mark.parametrize(("model", "label"), MODELS.items())
def test_titles_name_a_model_by_its_label(model: str, label: str) -> None:
    keep_map = streaming(200)
    keep_map = KeepMap(keep_map.expires, keep_map.scores, info={"label": "StreamingLLM", "model": model})
    profile = profile_of(name=model)
    drawn = [
        *(draw(keep_map) for draw in (keepmap.draw.compression_heatmap, keepmap.draw.keep_map_by_layer)),
        keepmap.draw.keep_map_lifetimes(keep_map),
        *(draw(profile) for draw in (keepmap.draw.attention_heatmap, keepmap.draw.attention_lines)),
        keepmap.draw.attention_grid(profile),
    ]
    for axes in drawn:
        title = first(axes).get_title(loc="left")
        assert title.replace("\n", " ").endswith(f" · {label}") and "/" not in title


BY_MAP = ("compression_heatmap", "keep_map_by_layer", "keep_map_lifetimes")
BY_PROFILE = ("attention_grid", "attention_heatmap", "attention_lines")


@pytest.mark.parametrize("name", BY_MAP)
@pytest.mark.usefixtures("unchecked")
def test_an_eviction_is_drawn_as_its_map(name: str) -> None:
    keep_map = streaming(200)
    eviction = Eviction(
        hidden_states=None,  # type: ignore[arg-type]
        keep_map=keep_map,
        language_model=None,  # type: ignore[arg-type]
        input_ids=None,  # type: ignore[arg-type]
        felt=False,
    )
    figure = getattr(keepmap.draw, name)
    assert words_of(first(figure(eviction))) == words_of(first(figure(keep_map)))


WRONG = [
    *(
        (name, value, "expected `keep_map` to be a KeepMap or an Eviction")
        for name in BY_MAP
        for value in (None, "x", [1])
    ),
    *(
        (name, value, "expected `profile` to be an AttentionProfile")
        for name in BY_PROFILE
        for value in (None, "x", [1])
    ),
    *(
        ("attention_summary", value, "expected `statistics` to be a sequence of statistics")
        for value in (None, 3, {"mean": 1.0}, [1])
    ),
    *(("cache_bytes", value, "expected `reports` to be a CacheReport or what has one") for value in (None, [1])),
    *(("compressor_study", value, "expected `study` to be a Study") for value in (None, [1])),
    *(("transfer_matrix", value, "expected `transfer` to be a Transfer") for value in (None, [1])),
    ("learning_curve", None, "expected `evaluations` to be a mapping from labels to Evaluations, or an Evaluation"),
    ("learning_curve", {"a": 3}, "expected `evaluations` to be an Evaluation, or several, for each label"),
    ("learning_curve", [3], "expected `evaluations` to be an Evaluation, or several, for each label"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
@pytest.mark.usefixtures("unchecked")
def test_a_wrong_thing_is_named_in_one_line(name: str, value: object, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}.*, got ") as error:
        getattr(keepmap.draw, name)(value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("unchecked")
def test_figures_of_other_things_are_errors_too() -> None:
    with pytest.raises(InputError, match="^expected `keep_map` to be a KeepMap or an Eviction, got AttentionProfile$"):
        keepmap.draw.compression_heatmap(profile_of())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^expected `profile` to be an AttentionProfile, got KeepMap$"):
        keepmap.draw.attention_grid(streaming(200))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^expected `kept` to be a mapping from labels to masks, got list$"):
        keepmap.draw.kept_transitions([1], **TRANSITIONS)  # type: ignore[arg-type]
    with pytest.raises(
        InputError, match=r"^expected `kept` of \"a\" to be 3 values, one for each of `rewards`, got \[\]$"
    ):
        keepmap.draw.kept_transitions({"a": 3}, **TRANSITIONS)  # type: ignore[dict-item]
    with pytest.raises(InputError, match=r"^`rewards` has the shape \[\]"):
        keepmap.draw.kept_transitions(KEPT, rewards=3, episodes=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="^expected `study` to be a Study, got SimpleNamespace$"):
        keepmap.draw.compressor_study(SimpleNamespace(rows=()))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_axes_is_named_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match="^expected `ax` to be Axes.*, got Figure$"):
        FIGURES[name](ax=Figure())
