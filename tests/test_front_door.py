"""The front door: every promised name, lazily; the calls that come to mind first; and one line for what is wrong."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import keepmap
from tests.insight.walks import walks

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = [
    "load_language_model",
    "load_agent",
    "profile_attention",
    "evict",
    "compare",
    "evaluate",
    "verify",
    "suggest",
    "collect",
    "train",
    "open_histories",
    "methods",
    "compressors",
    "sources",
    "environments",
    "read_comparison",
    "read_evaluation",
    "read_study",
    "compare_compression_methods",
]
VALUES = [
    "KeepMap",
    "AttentionProfile",
    "Eviction",
    "Comparison",
    "Evaluation",
    "Verification",
    "Study",
    "Agent",
    "LanguageModel",
    "History",
]
TO_EXTEND = ["Scored", "Received", "LayerInput", "Compressor", "Source"]
COMPRESSORS = [
    "AdaptiveCompressor",
    "AttentionBasedCompressor",
    "ExponentialDecayCompressor",
    "RandomCompressor",
    "RecencyCompressor",
    "RewardAwareCompressor",
    "ThresholdCompressor",
    "UniformCompressor",
]
ERRORS = ["ImpossibleResultError", "InputError", "KeepmapError", "ModelError", "OutputError", "WorkerError"]


def test_every_promised_name_is_there() -> None:
    promised = {*FUNCTIONS, *VALUES, *TO_EXTEND, *COMPRESSORS, *ERRORS, "draw", "__version__"}
    assert promised <= set(keepmap.__all__)
    assert all(callable(getattr(keepmap, name)) for name in promised - {"draw", "__version__"})


def test_the_names_for_type_checkers_are_those_that_are_loaded() -> None:
    tree = ast.parse((ROOT / "src" / "keepmap" / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    homes = {
        alias.asname or alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert homes.pop("draw") == "keepmap"
    assert {*homes, "draw", "__version__"} == set(keepmap.__all__)
    for name, module in homes.items():
        assert getattr(keepmap, name) is getattr(sys.modules[str(module)], name), name


def test_draw_is_a_module_that_lists_functions_only() -> None:
    code = "import keepmap.draw, keepmap; print(*dir(keepmap.draw)); print(keepmap.draw.compression_heatmap.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, first = done.stdout.splitlines()
    assert first == "compression_heatmap"
    assert "compression_heatmap" in names.split() and "save_figure" in names.split()
    assert [name for name in names.split() if not inspect.isfunction(getattr(keepmap.draw, name))] == []


@pytest.fixture(scope="module")
def hf_model(model_folder: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_folder)


IDS = [72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100] * 4


def test_a_loaded_hugging_face_model_goes_through_every_door(hf_model) -> None:
    assert keepmap.evict(hf_model, IDS, "h2o", density=0.5, window=4).logits.shape == (44, 257)
    assert keepmap.profile_attention(hf_model, IDS).shape[2] == 44
    comparison = keepmap.compare(hf_model, [IDS], ["streaming_llm"], window=8)
    assert [row["method"] for row in comparison.rows][-1] == "StreamingLLM"
    # Its tokenizer is found in the folder that it names.
    assert keepmap.load_language_model(hf_model).tokenizer is not None


def test_a_folder_and_the_embedded_name_go_through_every_door(model_folder: Path) -> None:
    for model in ("tiny", model_folder, str(model_folder)):
        assert keepmap.evict(model, "Hello world, hello", "random", window=4).keep_map.shape[0] >= 2
    assert keepmap.profile_attention("tiny", "Hello world").shape[0] == 2


@pytest.mark.parametrize(
    "inputs",
    [
        IDS,
        np.array(IDS, dtype=np.int32),
        np.array(IDS, dtype=np.uint8),
        torch.tensor(IDS, dtype=torch.int32),
        torch.tensor(IDS, dtype=torch.uint8),
        torch.tensor([IDS]),
        {"input_ids": [IDS], "attention_mask": [[1] * len(IDS)]},
        "Hello world" * 4,
    ],
    ids=["list", "int32 array", "uint8 array", "int32", "uint8", "batch of one", "tokenizer's", "string"],
)
def test_a_text_is_the_same_text_however_it_is_given(model_folder: Path, inputs: object) -> None:
    model = keepmap.load_language_model(model_folder)
    expected = keepmap.evict(model, torch.tensor(model.tokenizer.encode("Hello world" * 4)), "key_norm", window=4)
    if not isinstance(inputs, str):
        expected = keepmap.evict(model, torch.tensor(IDS), "key_norm", window=4)
    assert keepmap.evict(model, inputs, "key_norm", window=4).keep_map == expected.keep_map


def test_float_ids_are_refused_for_their_dtype() -> None:
    with pytest.raises(keepmap.InputError, match="float32"):
        keepmap.evict("tiny", torch.tensor([1.0, 2.0]), "random")


WRONG = {
    'evict("tiny", IDS, type(keepmap.methods()["random"]))': "method",
    'evict("tiny", IDS, keepmap.methods()["random"])': "method",
    'evict("tiny", IDS, "random", density="0.2")': "density",
    'evict("tiny", IDS, "random", density=[0.2])': "density",
    'evict("tiny", IDS, "random", budget=torch.tensor(3))': "budget",
    'evict("tiny", IDS, "random", window=1.5)': "window",
    'evict(3, IDS, "random")': "model",
    'evict("tiny", {1: 2}, "random")': "inputs",
    'evict("tiny", [[1, 2], [3]], "random")': "inputs",
    "profile_attention(None, IDS)": "model",
    'compare("tiny", "text", methods=[3])': "methods",
    'compare("tiny", "text", methods=[keepmap.methods()["random"]])': "methods",
    'compare(3, "text")': "model",
    "compare('tiny', 7)": "texts",
    "load_agent(3)": "path",
    "load_language_model(3)": "model",
    "open_histories(3)": "path",
    "read_comparison(3)": "path",
    "read_evaluation(3)": "path",
    "read_study(3)": "path",
    "draw.compression_heatmap(3)": "keep_map",
    "draw.learning_curve(3)": "evaluation",
    "draw.cost_by_footprint(3)": "comparisons",
    "draw.cost_by_footprint([3])": "comparisons",
    'evaluate("tiny", episodes="3")': "episodes",
    "evaluate(3)": "agent",
    'evaluate("tiny", compressor=keepmap.RecencyCompressor)': "compressor",
    'evaluate("tiny", [(7, 2)], episodes=1, compressor="recncy")': "compressor",
    "suggest(3)": "profiles",
    "collect(3)": "environment",
    'collect(learners="x")': "learners",
    "train(3)": "config",
    "train(settings=3)": "settings",
    "KeepMap(3, 4)": "expires",
    "KeepMap.load(3)": "path",
    "RecencyCompressor(keep_recent=3).select(3)": "history",
    "draw.keep_map_by_layer(KEEP_MAP, title=3)": "title",
    'draw.keep_map_by_layer(KEEP_MAP, legend="no")': "legend",
    'KEEP_MAP.kept("x")': "step",
    "compare_compression_methods('tiny', IDS)": "data_path",
    "compare_compression_methods(IDS, IDS)": "data_path",
    'verify("tiny", 3)': "contexts",
    'profile_attention("tiny", IDS, progress=5)': "progress",
    'compare("tiny", [IDS], "random", progress=5)': "progress",
    'evaluate("tiny", progress=5)': "progress",
    'verify("tiny", [IDS], progress=5)': "progress",
    "collect(progress=5)": "progress",
    "load_agent().play(ENVS, 1, progress=5)": "progress",
    "load_agent().play(ENVS, True)": "episodes",
    "load_agent().play(ENVS, 10**30)": "episodes",
    'evaluate("tiny", episodes=10**30)': "episodes",
    'evaluate("tiny", copies=10**30)': "copies",
    'evaluate("tiny", torch.ones(2))': "goals",
    "draw.attention_grid(PROFILE, what=5)": "what",
    "draw.attention_grid(PROFILE, query=True)": "query",
    "draw.attention_heatmap(PROFILE, cmap=5)": "cmap",
    'draw.attention_heatmap(PROFILE, size="x")': "size",
    "draw.attention_heatmap(PROFILE, size=1.5)": "size",
    "draw.attention_heatmap(PROFILE, heads=1.5)": "heads",
    "draw.attention_lines(PROFILE, layer=torch.ones(2))": "layer",
    'draw.compression_heatmap(KEEP_MAP, n_tokens="x")': "n_tokens",
    'draw.keep_map_by_layer(KEEP_MAP, max_columns="x")': "max_columns",
    'draw.save_figure(AXES, "out", "x", formats=5)': "formats",
    'draw.save_figure(AXES, 5, "x")': "folder",
    'draw.kept_transitions({"a": ["x", "y"]}, rewards=[1.0, 2.0], episodes=[1, 1])': "kept",
    'draw.kept_transitions({"a": [True, False]}, rewards=["x", "y"], episodes=[1, 1])': "rewards",
    "PROFILE.mass(None)": "where",
    'PROFILE.mass("x")': "where",
    "PROFILE.save(5)": "path",
    "PROFILE.guide_statistics(EVICTION)": "layer",
    "EVALUATION.to_csv(5)": "path",
    "EVALUATION.to_latex(5)": "path",
    "EVALUATION.to_csv('')": "path",
    "KEEP_MAP.save(5)": "path",
    "KEEP_MAP.save('\\ud800')": "path",
    "KeepMap(torch.full((1, 1, 4), 4), torch.zeros(1, 1, 4), held=3)": "held",
    "KeepMap(torch.full((1, 1, 4), 4), torch.zeros(1, 1, 4), info=3)": "info",
    'evict("tiny", IDS, "random", window=10**30)': "window",
    'evict("tiny", IDS, "random", n_sink=10**30)': "n_sink",
    'compare("tiny", [IDS], "random", window=10**30)': "window",
    'load_language_model("tiny", tokenizer=3)': "tokenizer",
    'load_language_model("tiny", device=10**30)': "device",
    'load_language_model("tiny", dtype=EVICTION)': "dtype",
    'load_language_model("")': "model",
    'evict("tiny", "\\ud800", "random")': "inputs",
    'evict("tiny", "", "random")': "inputs",
    'evict("tiny", [], "random")': "inputs",
    'evict("tiny", ["a", "b"], "random")': "one of them",
    'compare("tiny", ["\\ud800"], "random")': "texts",
    'evict("tiny", IDS, "H2O")': 'did you mean "h2o"',
    'compare("tiny", [IDS], thresholds=[3])': "give a mapping",
    "RecencyCompressor(EVICTION)": "keep_recent",
    "History(**HISTORY | {'states': 3})": "states",
    "History(**HISTORY | {'valid': None})": "valid",
    "load_agent().attention(3, None)": "history",
    "load_agent().attention(keepmap.History(**HISTORY), None)": "query_states",
    "KEEP_MAP.density('x')": "step",
    "KEEP_MAP.overlap(KEEP_MAP, 10**30)": "step",
    "KEEP_MAP.overlap(KEEP_MAP, compressible=torch.ones(2))": "compressible",
    "EVALUATION.estimate('x')": "first",
    "EVALUATION.estimate(1, 1.5)": "last",
    "sources()['ppo'](learning_rate='x')": "learning_rate",
    "sources()['ppo']('x')": "n_steps",
    "collect(options=3)": "options",
    "profile_attention('tiny', IDS, queries=EVICTION)": "queries",
    'collect(size="x")': "size",
    "collect(horizon=1.5)": "horizon",
    "collect(horizon=10**30)": "horizon",
    "collect(split=3)": "split",
    'collect(split_seed="x")': "split_seed",
    "collect(learners=1, out=3)": "out",
    "collect(source=EVICTION)": "source",
    "compare_compression_methods('no.jsonl', text_field=[])": "text_field",
    "compare_compression_methods('no.jsonl', max_samples='x')": "max_samples",
    "compare_compression_methods('no.jsonl', workers='x')": "workers",
    "compare_compression_methods('no.jsonl', num_gpus='x')": "num_gpus",
    "compare_compression_methods('no.jsonl', device=3)": "device",
    "compare_compression_methods('no.jsonl', output_dir=None)": "output_dir",
}
"""Calls, and the parameter that the message names."""
VALUES_OF_CALLS = {
    "EVICTION": 'keepmap.evict("tiny", IDS, "streaming_llm", window=4)',
    "PROFILE": 'keepmap.profile_attention("tiny", IDS)',
    "EVALUATION": 'keepmap.evaluate("tiny", [(7, 2)], episodes=1)',
    "ENVS": '__import__("gymnasium").make_vec("keepmap/DarkRoom-9x9-v0", num_envs=1)',
    "HISTORY": (
        "dict(states=torch.zeros(1, 2, 2).long(), next_states=torch.zeros(1, 2, 2).long(), rewards=torch.zeros(1, 2), "
        "actions=torch.zeros(1, 2).long(), times=torch.tensor([[0, 1]]), valid=torch.ones(1, 2).bool())"
    ),
    "AXES": "keepmap.draw.keep_map_by_layer(KEEP_MAP)",
}


@pytest.fixture(scope="module")
def messages() -> dict[str, str]:
    """What each of the wrong calls raises, as a user meets it: without the annotations that tests enforce."""
    script = ["import json, torch, keepmap", f"IDS = {IDS}", "answers = {}"]
    script.append("KEEP_MAP = keepmap.KeepMap(torch.full((1, 1, 4), 4), torch.zeros(1, 1, 4))")
    script += [f"{name} = {value}" for name, value in VALUES_OF_CALLS.items()]
    for call in WRONG:
        script += [
            "try:",
            f"    answers[{call!r}] = repr({'' if call.partition('.')[0].isupper() else 'keepmap.'}{call})",
            "except Exception as error:",
            f"    answers[{call!r}] = f'{{type(error).__name__}}: {{error}}'",
        ]
    script.append("print(json.dumps(answers))")
    done = subprocess.run([sys.executable, "-c", "\n".join(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(answers, dict)
    return answers


@pytest.mark.parametrize("call", WRONG)
def test_what_is_wrong_is_one_line_that_names_the_parameter(messages: dict[str, str], call: str) -> None:
    message = messages[call]
    assert message.startswith(("InputError: ", "ModelError: ")), message
    assert "\n" not in message
    assert WRONG[call] in message
    assert "--" not in message


def test_a_method_of_ones_own_is_compared_like_the_others() -> None:
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Oldest(keepmap.Scored):
        """Keeps the oldest."""

        name: ClassVar[str] = "oldest"
        label: ClassVar[str] = "Oldest"
        needs: ClassVar[str] = "position"
        density: ClassVar[float | None] = 0.2

        def score(self, layer: keepmap.LayerInput) -> torch.Tensor:
            """The older, the higher."""
            n = layer.keys.shape[1]
            return -torch.arange(n, dtype=torch.float32).expand(layer.keys.shape[0], n)

    comparison = keepmap.compare("tiny", ["one two three four " * 12], [Oldest(), "random"], density=0.5, window=8)
    assert {"Oldest", "Random"} <= {row["method"] for row in comparison.rows}
    assert json.dumps(list(comparison.rows))


def test_nothing_shown_is_longer_than_four_lines() -> None:
    eviction = keepmap.evict("tiny", IDS, "streaming_llm", window=4)
    agent = keepmap.load_agent("tiny")
    evaluation = keepmap.evaluate(agent, [(7, 2)], episodes=2)
    comparison = keepmap.compare("tiny", [IDS], ["streaming_llm"], window=8)
    language_model = keepmap.load_language_model("tiny")
    context = keepmap.Context(walks(1, n=4)[0].history, torch.tensor([[1, 1]]), torch.tensor([4]))
    values = [eviction, eviction.keep_map, eviction.damage(), keepmap.profile_attention("tiny", IDS), agent, evaluation]
    values += [comparison, language_model, context, context.history, keepmap.suggest(values[3])]
    for value in values:
        assert len(repr(value).splitlines()) <= 4, repr(value)
        assert value._repr_html_().startswith("<")
    assert "<td" in context._repr_html_() and context._repr_html_().count("<tr>") == 1 + 4 + 1
    for table in (evaluation, comparison):
        assert len(table.to_pandas()) == len(table.rows)
        assert table.to_csv().splitlines()[0].split(",")[0] in table.rows[0]
        assert table.to_latex().startswith("\\begin{tabular}")


def test_compare_writes_and_prints_nothing(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shares: list[float] = []
    keepmap.compare("tiny", [IDS], ["streaming_llm"], window=8, progress=shares.append)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
    assert shares == sorted(shares) and shares[-1] == 1.0
