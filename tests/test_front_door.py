"""The front door: every promised name, lazily; the calls that come to mind first; and one line for what is wrong."""

import ast
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import keepmap
from tests.forked import python
from tests.insight.walks import walks
from tests.wrong_calls import VALUES_OF_CALLS, WRONG

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = [
    "load_language_model",
    "load_agent",
    "profile_attention",
    "evict",
    "generate",
    "compare",
    "evaluate",
    "verify",
    "suggest",
    "collect",
    "train",
    "open_histories",
    "methods",
    "compressors",
    "context_at",
    "sources",
    "environments",
    "read_comparison",
    "read_evaluation",
    "read_generation",
    "read_study",
    "compare_compression_methods",
]
VALUES = [
    "KeepMap",
    "AttentionProfile",
    "Eviction",
    "Comparison",
    "Evaluation",
    "EvictingCache",
    "Generation",
    "Verification",
    "Study",
    "Agent",
    "LanguageModel",
    "History",
]
TO_EXTEND = ["Scored", "Received", "Reviewed", "LayerInput", "HeldInput", "Compressor", "Source"]
COMPRESSORS = [
    "AdaptiveCompressor",
    "AttentionBasedCompressor",
    "ExponentialDecayCompressor",
    "RandomCompressor",
    "RandomWithoutNewestCompressor",
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
    done = python("-c", code, cwd=Path())
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


def test_what_the_tokenizers_library_gives_is_a_text() -> None:
    model, text = keepmap.load_language_model("tiny"), "Hello world, " * 4
    encoding = model.tokenizer.backend_tokenizer.encode(text)
    evicted, expected = (keepmap.evict(model, inputs, "random", window=4) for inputs in (encoding, text))
    assert evicted.keep_map == expected.keep_map
    alone, listed = (keepmap.compare(model, inputs, "random", window=4) for inputs in (encoding, [encoding]))
    assert alone.rows[0]["avg_nll"] == listed.rows[0]["avg_nll"]
    assert keepmap.verify(model, encoding, draws=1, layers=0) == keepmap.verify(model, text, draws=1, layers=0)


def test_float_ids_are_refused_for_their_dtype() -> None:
    with pytest.raises(keepmap.InputError, match="float32"):
        keepmap.evict("tiny", torch.tensor([1.0, 2.0]), "random")


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
    done = python("-c", "\n".join(script), cwd=Path())
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
