"""The programs of docs/examples, as their users wrote them: inside a block they say what eviction makes a model say."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import StoppingCriteria, StoppingCriteriaList

import keepmap
from keepmap.language_model import LanguageModel

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
OPTIONS = {"density": 0.3, "window": 8}
TEMPLATE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def programs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("programs", EXAMPLES / "programs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny() -> Iterator[LanguageModel]:
    language_model = keepmap.load_language_model("tiny")
    language_model.tokenizer.chat_template = TEMPLATE
    yield language_model
    language_model.tokenizer.chat_template = None


def expected(tiny: LanguageModel, messages: list[dict[str, str]]) -> str:
    """What `keepmap.generate` says, which reads in blocks and is compared with `evict` by tests of its own."""
    text = tiny.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    return keepmap.generate(tiny, ids, "h2o", max_new_tokens=40, **OPTIONS).text


def test_a_pipeline_a_chat_and_a_streamer(programs: ModuleType, tiny: LanguageModel) -> None:
    model, tokenizer = tiny.model, tiny.tokenizer
    with keepmap.evicting(model, "h2o", **OPTIONS) as run:
        first = programs.with_a_pipeline(model, tokenizer)
        turns = programs.with_a_chat(model, tokenizer)
        kept = run.keep_map.density()
        streamed = programs.with_a_streamer(model, tokenizer)
    own = programs.with_a_chat(model, tokenizer)
    messages: list[dict[str, str]] = []
    for words, answer in zip(programs.TURNS, turns, strict=True):
        messages.append({"role": "user", "content": words})
        assert answer == expected(tiny, messages)
        messages.append({"role": "assistant", "content": answer})
    assert first == streamed[: len(first)] == turns[0] and kept < 0.6
    assert own != turns, "eviction changes what this model says"


def test_what_an_evaluation_harness_calls(tiny: LanguageModel) -> None:
    """As lm-evaluation-harness does: logits of plain calls without a mask, and `generate` until words come."""
    ids = tiny.tokenizer("The code of river is 4821. " * 9, return_tensors="pt").input_ids

    class AtAWord(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
            ends = "The" in tiny.tokenizer.decode(input_ids[0, ids.shape[1] :])
            return torch.tensor([ends], device=input_ids.device)

    arguments = {"max_length": ids.shape[1] + 30, "pad_token_id": 0, "use_cache": True, "do_sample": False}
    with keepmap.evicting(tiny, "h2o", **OPTIONS), torch.no_grad():
        logits = tiny.model(ids).logits[0]
        output = tiny.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            stopping_criteria=StoppingCriteriaList([AtAWord()]),
            **arguments,
        )
    torch.testing.assert_close(logits, keepmap.evict(tiny, ids, "h2o", **OPTIONS).logits, rtol=1e-4, atol=1e-4)
    answer = tiny.tokenizer.decode(output[0, ids.shape[1] :])
    assert answer.count("The") == 1 and output.shape[1] < ids.shape[1] + 30
