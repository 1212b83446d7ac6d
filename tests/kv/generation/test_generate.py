"""Generating under eviction: what comes is what `generate` and `evict` say, and what is wrong is one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.core.keep_map import KeepMap
from keepmap.errors import InputError, ModelError
from keepmap.kv.generation.files import read_generation, write_generation
from keepmap.kv.generation.generation import Answered, Generation
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

COVERS = ("keepmap.kv.generation.*",)
TEXT = "The code of river is 4821. The code of stone is 77. " * 6 + "The code of river is"
OPTIONS = {"density": 0.2, "window": 16, "max_new_tokens": 12}
TEMPLATE = "<s>{% for m in messages %}{{ m.content | trim }}{% endfor %}{% if add_generation_prompt %}. So{% endif %}"


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return load_language_model("tiny")


@pytest.fixture(scope="module")
def compared(tiny: LanguageModel) -> Generation:
    return keepmap.generate(tiny, TEXT, "h2o", compare=True, **OPTIONS)


def ids_of(tiny: LanguageModel, text: str) -> torch.Tensor:
    return tiny.tokenizer(text, return_tensors="pt").input_ids


def test_the_answer_is_that_of_generate_and_the_map_that_of_evict(tiny: LanguageModel, compared: Generation) -> None:
    ids = ids_of(tiny, TEXT)
    with keepmap.evicting(tiny, "h2o", density=0.2, window=16):
        output = tiny.model.generate(ids, max_new_tokens=12, do_sample=False)
    full = tiny.model.generate(ids, max_new_tokens=12, do_sample=False)
    assert compared.answer.tokens == tuple(output[0, ids.shape[1] :].tolist())
    assert compared.full is not None and compared.full.tokens == tuple(full[0, ids.shape[1] :].tolist())
    assert compared.text == tiny.tokenizer.decode(compared.answer.tokens, skip_special_tokens=True)
    whole = keepmap.evict(tiny, output[0, :-1], "h2o", density=0.2, window=16)
    assert torch.equal(compared.keep_map.expires, whole.keep_map.expires)
    assert compared.n_prompt == ids.shape[1] and compared.cache.tokens == output.shape[1] - 1


def test_the_report_says_what_was_kept_held_and_how_fast(compared: Generation) -> None:
    lines = "\n".join(compared.lines())
    assert f"{compared.n_prompt} tokens read; 12 new" in lines
    assert f"Kept:  {compared.keep_map.density():.1%} of all" in lines and "Speed: " in lines
    assert "with the full cache" in lines and "Note:" not in lines
    first = next(
        at for at, (a, b) in enumerate(zip(compared.answer.tokens, compared.full.tokens, strict=True)) if a != b
    )
    assert compared.divergence == first
    assert replace(compared, full=compared.answer).divergence is None
    assert replace(compared, full=None).divergence is None
    assert replace(compared, answer=Answered(tokens=(5,), text="a")).answer.rate is None


def test_pieces_come_as_they_are_said_and_reading_is_told(tiny: LanguageModel, compared: Generation) -> None:
    pieces: list[str] = []
    shares: list[float] = []
    again = keepmap.generate(tiny, TEXT, "h2o", stream=pieces.append, progress=shares.append, **OPTIONS)
    assert "".join(pieces) == compared.text and len(pieces) > 3 and shares == [1.0]
    assert again == replace(compared, full=None) and again != compared


def test_a_question_comes_right_after_the_text(tiny: LanguageModel) -> None:
    generation = keepmap.generate(tiny, TEXT, "h2o", question=" The code of stone is", **OPTIONS)
    context, question = ids_of(tiny, TEXT)[0], ids_of(tiny, " The code of stone is")[0]
    assert (generation.n_prompt, generation.n_question) == (len(context) + len(question), len(question))
    alike = keepmap.generate(tiny, torch.cat([context, question]), "h2o", **OPTIONS)
    assert generation.answer == alike.answer and generation.keep_map == alike.keep_map
    assert f"{len(question)} of them the question" in generation.lines()[0]


@pytest.mark.parametrize("question", [None, " The code of stone is"])
@pytest.mark.parametrize("method", ["h2o", "expected_attention"])
def test_once_the_text_before_the_question_is_cut(tiny: LanguageModel, method: str, question: str | None) -> None:
    shares: list[float] = []
    generation = keepmap.generate(
        tiny, TEXT, method, question=question, mode="once", compare=True, progress=shares.append, **OPTIONS
    )
    context = len(ids_of(tiny, TEXT)[0])
    assert generation.n_prompt - generation.n_question == context and shares[-1] == 1.0
    ids = torch.cat([ids_of(tiny, TEXT + (question or ""))[0], torch.tensor(generation.answer.tokens[:-1])])
    when = {"mode": "once", "context_length": context}
    assert generation.keep_map == keepmap.evict(tiny, ids, method, density=0.2, window=16, **when).keep_map
    assert f"Mode:  once, cut after {context} tokens" in generation.lines()
    if question is None:
        assert generation.full is not None and generation.full.tokens[0] == generation.answer.tokens[0]
    assert generation.options["mode"] == "once" and set(generation.keep_map.expires.unique().tolist()) == {
        context,
        len(ids),
    }


def test_chunks(tiny: LanguageModel, compared: Generation) -> None:
    generation = keepmap.generate(tiny, TEXT, "h2o", chunk_size=9, **OPTIONS)
    ids = torch.cat([ids_of(tiny, TEXT)[0], torch.tensor(generation.answer.tokens[:-1])])
    expected = keepmap.evict(tiny, ids, "h2o", density=0.2, window=16, chunk_size=9).keep_map
    assert torch.equal(generation.keep_map.expires, expected.expires)
    assert generation.lines()[1] == "Mode:  chunked, 9 queries at a time" and "Mode: " not in str(compared.lines())
    assert (generation.options["mode"], generation.options["chunk_size"]) == ("chunked", 9)


def test_what_waits_for_the_next_cut_is_said_to_be_held(tiny: LanguageModel, tmp_path: Path) -> None:
    """Its KeepMap is that of `evict`, for which the end of a text ends a chunk; the bytes are those of all."""
    for when in ({"chunk_size": 500}, {"interval": 500}):
        generation = keepmap.generate(tiny, TEXT, "h2o", **when, **OPTIONS)
        n = generation.cache.tokens
        lines = "\n".join(generation.lines())
        assert "Kept:  100.0% of all entries, 100.0% of those that left the window" in lines
        assert f"Note:  nothing evicted yet: the next cut comes after {500 - n} more tokens" in lines
        assert generation.cache.nbytes >= generation.cache.full_nbytes
        write_generation(tmp_path, generation)
        assert read_generation(tmp_path).lines() == generation.lines()
    generation = keepmap.generate(tiny, TEXT, "h2o", chunk_size=50, **OPTIONS)
    over, lines = generation.cache.tokens % 50, "\n".join(generation.lines())
    assert f"Note:  the last {over} tokens are held whole: the next cut comes after {50 - over} more" in lines
    held = (generation.keep_map.expires == generation.cache.tokens).double().mean()
    assert f"Kept:  {held:.1%} of all entries" in lines and held > generation.keep_map.density() + 0.05


def test_a_chat_template_goes_around_text_and_question(tiny: LanguageModel) -> None:
    tiny.tokenizer.chat_template = TEMPLATE
    try:
        answered = keepmap.generate(tiny, TEXT, "h2o", question="which code? ", chat_template=True, **OPTIONS)
    finally:
        tiny.tokenizer.chat_template = None
    parts = (f"<s>{TEXT}", "which code?. So")
    ids = torch.cat([torch.tensor(tiny.tokenizer(part, add_special_tokens=False)["input_ids"]) for part in parts])
    assert answered.n_prompt == len(ids)
    assert answered.answer == keepmap.generate(tiny, ids, "h2o", **OPTIONS).answer
    with pytest.raises(InputError, match="the tokenizer of tiny has no chat template"):
        keepmap.generate(tiny, TEXT, "h2o", chat_template=True)


def test_draws_follow_the_seed_alone(tiny: LanguageModel, compared: Generation) -> None:
    before = torch.random.get_rng_state()
    drawn = [
        keepmap.generate(tiny, TEXT, "h2o", temperature=2.0, top_p=0.95, seed=seed, **OPTIONS).answer.tokens
        for seed in (3, 3, 4)
    ]
    assert drawn[0] == drawn[1] != drawn[2] and compared.answer.tokens not in drawn
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_a_models_own_config_says_about_drawing_does_not_count() -> None:
    model = build("llama").float()
    expected = keepmap.generate(model, tokens(30), "streaming_llm", window=8, max_new_tokens=6)
    model.generation_config.update(do_sample=True, temperature=3.0, num_beams=2)
    again = keepmap.generate(model, tokens(30), "streaming_llm", window=8, max_new_tokens=6)
    assert again.answer.tokens == expected.answer.tokens and again.text == "", "it has no tokenizer"


@pytest.mark.parametrize(
    "options",
    [
        {"budget": 5, "budget_by": "pyramid", "n_sink": 2, "window": 7, "chunk_size": 9, "seed": 4},
        {"threshold": 0.6, "n_sink": 1, "window": 3, "mode": "chunked", "chunk_size": 4, "seed": 5},
    ],
    ids=str,
)
def test_every_option_decides(options: dict[str, float]) -> None:
    model, ids = build("llama").float(), tokens(50)
    generation = keepmap.generate(model, ids, "random", max_new_tokens=9, **options)
    both = torch.cat([ids, torch.tensor(generation.answer.tokens[:-1])])
    assert generation.keep_map == keepmap.evict(model, both, "random", **options).keep_map


def test_one_token_and_a_text_that_is_shorter_than_sinks_and_window(tiny: LanguageModel) -> None:
    alone = keepmap.generate(tiny, [5], "h2o", max_new_tokens=1)
    assert alone.cache.tokens == 1 and alone.answer.rate is None
    assert alone.lines()[1] == "Kept:  100.0% of all entries, none of which left the window"
    assert "Note:  nothing to evict: 1 token are no more than the 512 that are protected" in "\n".join(alone.lines())


def test_files_give_the_same_back(compared: Generation, tmp_path: Path) -> None:
    write_generation(tmp_path, compared)
    again = read_generation(tmp_path / "generation.json")
    assert again == compared and again.lines() == compared.lines() and repr(again) == repr(compared)
    first = (tmp_path / "generation.json").read_bytes()
    write_generation(tmp_path, again)
    assert (tmp_path / "generation.json").read_bytes() == first
    (tmp_path / "timings.json").unlink()
    assert read_generation(tmp_path) == compared and read_generation(tmp_path).answer.rate is None


@pytest.mark.parametrize("damage", ["gone", "text", "other map", "no map", "times", "chunk"])
def test_files_that_do_not_agree_are_one_line(compared: Generation, tmp_path: Path, damage: str) -> None:
    write_generation(tmp_path, compared)
    match damage:
        case "gone":
            (tmp_path / "generation.json").unlink()
        case "text":
            (tmp_path / "generation.json").write_text("hello")
        case "other map":
            KeepMap(torch.full((1, 1, 4), 4), torch.zeros(1, 1, 4)).save(tmp_path / "keep_map.safetensors")
        case "no map":
            (tmp_path / "keep_map.safetensors").unlink()
        case "chunk":
            replace(compared.keep_map, info={"chunk_size": 0}).save(tmp_path / "keep_map.safetensors")
        case "times":
            (tmp_path / "timings.json").write_text('{"answer": {"reading": "long"}}')
    message = {"gone": "no generation at", "no map": "no KeepMap at"}.get(damage, "is not a generation, or is damaged")
    with pytest.raises(InputError, match=message):
        read_generation(tmp_path)


def test_a_generation_shows_itself(compared: Generation) -> None:
    assert repr(compared).startswith("Generation(H2O, density 0.2 on tiny: ") and len(repr(compared).splitlines()) == 3
    assert "the full cache" in compared._repr_html_() and "at the peak" in compared._repr_html_()
    with pytest.raises(TypeError):
        hash(compared)


@pytest.mark.parametrize("call", ["reading", "answering"])
def test_where_memory_ends_it_is_one_line(tiny: LanguageModel, call: str) -> None:
    def stop(module: torch.nn.Module, arguments: tuple[object, ...], named: dict[str, torch.Tensor]) -> None:
        if (named["hidden_states"].shape[1] if "hidden_states" in named else arguments[0].shape[1]) == steps:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    n = ids_of(tiny, TEXT).shape[1]
    steps = n - 1 if call == "reading" else 1
    handle = tiny.model.model.layers[1].register_forward_pre_hook(stop, with_kwargs=True)
    try:
        with pytest.raises(ModelError, match=f"{n - 1 if call == 'reading' else n} tokens with H2O does not go into"):
            keepmap.generate(tiny, TEXT, "h2o", **OPTIONS)
    finally:
        handle.remove()
    assert keepmap.generate(tiny, TEXT, "h2o", **OPTIONS).answer.tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_new_tokens": 0}, "`max_new_tokens` to be an integer of 1 or more"),
        ({"max_new_tokens": 10**9}, r"positions of tiny, got \d+ tokens and max_new_tokens=1000000000"),
        ({"temperature": 0.0}, "`temperature` to be above 0"),
        ({"temperature": float("inf")}, "`temperature` to be above 0"),
        ({"temperature": 1.0, "top_p": 0.0}, "`top_p` to be above 0"),
        ({"temperature": 1.0, "top_p": 1.5}, "`top_p` to be a number in"),
        ({"top_p": 0.5}, "`top_p` to be given with a `temperature`"),
        ({"question": ""}, "`question` to be a text"),
        ({"prompt": [1, 2], "question": "what?"}, "`prompt` to be a string, which a question goes with, got a list"),
        ({"prompt": [1, 2], "chat_template": True}, "a string, which a chat template goes with"),
        ({"prompt": ""}, "`prompt` to be a text of one token or more"),
        ({"density": 2.0}, "density"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(tiny: LanguageModel, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        keepmap.generate(tiny, **{"prompt": TEXT, "method": "h2o"} | arguments)


def test_a_string_needs_a_tokenizer() -> None:
    model = load_language_model(build("llama"))
    for arguments in ({}, {"question": "what?"}):
        with pytest.raises(InputError, match="has no tokenizer for a string"):
            keepmap.generate(model, "text", "h2o", **arguments)
