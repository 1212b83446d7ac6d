"""Users' own programs inside a block: what runs under eviction, what is refused, and the model left as it was."""

from collections.abc import Callable
from threading import Event, Thread, Timer

import pytest
import torch
from transformers import DynamicCache, PreTrainedModel, TextIteratorStreamer, pipeline

import keepmap
from keepmap.attention.passes.forward import NAME
from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.evicting import evicting
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

IDS = tokens(40)
TRANSFORMERS_OWN = "_previous_max_cache_length"
"""What `generate` leaves behind when a static cache is asked for."""
OPTIONS = {"density": 0.3, "n_sink": 2, "window": 4}
GREEDY = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama"))


@pytest.fixture
def model(language_model: LanguageModel) -> PreTrainedModel:
    """Whatever a test did to it: it is as it was."""
    before = state(language_model.model)
    yield language_model.model
    assert state(language_model.model) == before


def state(model: PreTrainedModel) -> object:
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()]
    configs = [module.config._attn_implementation for module in model.modules() if hasattr(module, "config")]
    flags = [module.training for module in model.modules()]
    return hooks, configs, flags, sorted(set(vars(model)) - {TRANSFORMERS_OWN}), model.forward.__func__


def generated(model: PreTrainedModel, ids: torch.Tensor = IDS, **arguments: object) -> torch.Tensor:
    return model.generate(ids[None], attention_mask=torch.ones(1, len(ids)), **GREEDY | arguments)[0]


def expected(model: PreTrainedModel, ids: torch.Tensor) -> keepmap.KeepMap:
    return keepmap.evict(model, ids, "h2o", **OPTIONS).keep_map


def test_after_a_call_nothing_of_it_is_left(model: PreTrainedModel) -> None:
    with evicting(model, "h2o", **OPTIONS) as run:
        generated(model)
        # The part without the head is no call of the model's.
        with pytest.raises(InputError, match="inside `with keepmap.evicting"):
            model.model(input_ids=IDS[None], past_key_values=run.cache.fork())


def test_each_call_is_on_a_fresh_cache(model: PreTrainedModel) -> None:
    with evicting(model, "h2o", **OPTIONS) as run:
        first, again = generated(model), generated(model)
        assert run.keep_map == expected(model, first[:-1]) and torch.equal(first, again)
        other = generated(model, tokens(33, 3))
        assert run.keep_map == expected(model, other[:-1])
    assert run.report().tokens == len(other) - 1 and run.report().nbytes < run.report().full_nbytes
    assert not torch.equal(generated(model), first), "eviction changes what this model says"


def test_plain_passes(model: PreTrainedModel) -> None:
    evicted = keepmap.evict(model, IDS, "h2o", **OPTIONS)
    with evicting(model, "h2o", **OPTIONS) as run, torch.no_grad():
        for arguments in ({}, {"use_cache": False}, {"attention_mask": torch.ones(1, 40)}, {"labels": IDS[None]}):
            output = model(IDS[None], **arguments)
            torch.testing.assert_close(output.logits[0], evicted.logits, rtol=1e-9, atol=1e-9)
            assert run.keep_map == evicted.keep_map
        assert (output.past_key_values is run.cache) and model(IDS[None], use_cache=False).past_key_values is None


def test_a_pass_that_goes_on_with_the_cache_of_the_last(model: PreTrainedModel) -> None:
    with evicting(model, "h2o", **OPTIONS) as run, torch.no_grad():
        cache = model(IDS[None, :30]).past_key_values
        model(IDS[None, 30:], past_key_values=cache)
        assert run.cache is cache and run.keep_map == expected(model, IDS)
        plain = DynamicCache()
        for part in IDS[None].split(15, dim=1):
            model(part, past_key_values=plain)
        assert run.keep_map == expected(model, IDS), "ours stands in for the one that was given"


def test_generating_without_a_cache(model: PreTrainedModel) -> None:
    with evicting(model, "h2o", **OPTIONS) as run:
        with_cache = generated(model)
        assert torch.equal(generated(model, use_cache=False), with_cache)
    assert run.keep_map == expected(model, with_cache[:-1])


@pytest.mark.parametrize("grad", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_mode_of_gradients_one_after_the_other(model: PreTrainedModel, grad: Callable[[], object]) -> None:
    cache = EvictingCache(model, "h2o", **OPTIONS)
    with evicting(model):
        with grad():
            model(IDS[None, :20], past_key_values=cache)
            fork = cache.fork()
        for each in (cache, fork):
            with torch.inference_mode():
                model(IDS[None, 20:21], past_key_values=each)
            with torch.no_grad():
                model(IDS[None, 21:], past_key_values=each)
            assert each.keep_map() == expected(model, IDS)


def test_gradients_are_refused_rather_than_wrong(model: PreTrainedModel) -> None:
    model.requires_grad_(True)
    try:
        with evicting(model, "h2o", **OPTIONS), pytest.raises(InputError, match="no gradients"):
            model(IDS[None], labels=IDS[None]).loss.backward()
    finally:
        model.requires_grad_(False)


def test_a_conversation_on_one_cache(model: PreTrainedModel) -> None:
    cache = EvictingCache(model, "h2o", **OPTIONS)
    with evicting(model) as run:
        text = generated(model, past_key_values=cache)
        text = torch.cat([text, tokens(7, 2)])
        text = generated(model, text, past_key_values=cache)
    assert run.cache is cache and cache.keep_map() == expected(model, text[:-1])


def test_without_a_method_other_calls_are_the_models_own(model: PreTrainedModel) -> None:
    own = generated(model)
    with torch.no_grad():
        logits = model(IDS[None]).logits
    with evicting(model) as run, torch.no_grad():
        assert torch.equal(generated(model), own) and torch.equal(model(IDS[None]).logits, logits)
    with pytest.raises(InputError, match="expected a call under eviction"):
        _ = run.keep_map


def test_keepmaps_own_functions_inside_a_block(model: PreTrainedModel) -> None:
    fresh = build("llama", seed=7)
    alone = keepmap.profile_attention(build("llama", seed=7), IDS).received
    with evicting(model, "h2o", **OPTIONS), evicting(fresh, "h2o", **OPTIONS):
        assert expected(model, IDS) == expected(model, IDS)
        # The first look at a model compares its logits with our own: its own they are.
        assert torch.equal(keepmap.profile_attention(fresh, IDS).received, alone)
        assert model.config._attn_implementation == NAME


def test_a_streamer_in_a_thread_and_a_pipeline() -> None:
    tiny = keepmap.load_language_model("tiny")
    prompt = "The code of river is 4821. " * 9
    inputs = tiny.tokenizer(prompt, return_tensors="pt")
    options = {"density": 0.2, "window": 16}
    with evicting(tiny, "h2o", **options) as run:
        streamer = TextIteratorStreamer(tiny.tokenizer, skip_prompt=True, timeout=60)
        arguments = {**inputs, "streamer": streamer, "max_new_tokens": 6, "do_sample": False}
        thread = Thread(target=tiny.model.generate, kwargs=arguments)
        thread.start()
        streamed = "".join(streamer)
        thread.join()
        kept = run.keep_map
        program = pipeline("text-generation", model=tiny.model, tokenizer=tiny.tokenizer)
        answer = program(prompt, max_new_tokens=6, do_sample=False, return_full_text=False)[0]["generated_text"]
        assert run.keep_map == kept
    assert streamed == answer and kept.density() < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention_mask": torch.ones(1, 40).index_fill(1, torch.tensor([9]), 0)}, "attention_mask"),
        ({"output_attentions": True, "return_dict_in_generate": True}, "output_attentions"),
        ({"cache_implementation": "static"}, "past_key_values"),
    ],
    ids=str,
)
def test_what_a_cache_cannot_do_is_refused(model: PreTrainedModel, arguments: dict[str, object], message: str) -> None:
    with evicting(model, "h2o", **OPTIONS):
        arguments = {"attention_mask": torch.ones(1, 40)} | GREEDY | arguments
        with pytest.raises(InputError, match=message):
            model.generate(IDS[None], **arguments)


def test_other_positions_a_filled_cache_and_a_cache_of_another_model_are_refused(model: PreTrainedModel) -> None:
    with torch.no_grad():
        filled = model(IDS[None]).past_key_values
    other = EvictingCache(build("llama", seed=3), "h2o", **OPTIONS)
    with evicting(model, "h2o", **OPTIONS), torch.no_grad():
        with pytest.raises(InputError, match="position_ids"):
            model(IDS[None], position_ids=torch.arange(1, 41)[None])
        with pytest.raises(InputError, match="past_key_values.*DynamicCache"):
            model(IDS[None], past_key_values=filled)
        with pytest.raises(InputError, match="offloading"):
            model.generate(IDS[None], cache_implementation="offloaded", max_new_tokens=1)
        with pytest.raises(InputError, match="another model"):
            model(IDS[None], past_key_values=other)
        with pytest.raises(InputError, match="at most 2048 tokens"):
            model(tokens(2049)[None])


def test_a_model_that_is_training_is_refused() -> None:
    model = build("llama")
    with evicting(model, "h2o", **OPTIONS):
        model.train()
        with pytest.raises(InputError, match="eval mode"):
            model(IDS[None])


def test_a_block_in_a_block_is_refused_also_from_a_thread(model: PreTrainedModel) -> None:
    messages = []

    def second() -> None:
        with pytest.raises(InputError, match="already") as caught, evicting(model):
            pass
        messages.append(str(caught.value))

    with evicting(model, "h2o", **OPTIONS):
        second()
        thread = Thread(target=second)
        thread.start()
        thread.join()
        assert len(messages) == 2
        assert expected(model, generated(model)[:-1]).shape[2] == 45
    with evicting(model, "h2o", **OPTIONS):
        generated(model)


def test_two_threads_in_one_block_do_not_know_each_other(model: PreTrainedModel) -> None:
    texts = [tokens(40, seed) for seed in (1, 2)]
    answers: dict[int, torch.Tensor] = {}
    with evicting(model, "h2o", **OPTIONS):
        alone = [generated(model, text, max_new_tokens=12) for text in texts]

        def speak(number: int) -> None:
            for _ in range(3):
                answers[number] = generated(model, texts[number], max_new_tokens=12)

        threads = [Thread(target=speak, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(torch.equal(answers[number], alone[number]) for number in range(2))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_block_that_ends_while_a_thread_generates_inside(model: PreTrainedModel, attention: str) -> None:
    inside, goes_on, messages = Event(), Event(), []
    before = model.config._attn_implementation
    model.set_attn_implementation(attention)

    def halfway(*_: object) -> None:
        if run.cache.get_seq_length() > 41:
            inside.set()
            goes_on.wait(20)

    def speak() -> None:
        with pytest.raises(InputError) as refused:
            generated(model, max_new_tokens=30)
        messages.append(str(refused.value))

    thread = Thread(target=speak)
    with evicting(model, "h2o", **OPTIONS) as run:
        handle = model.model.layers[0].mlp.register_forward_pre_hook(halfway)
        thread.start()
        assert inside.wait(20)
        Timer(0.1, goes_on.set).start()
    thread.join()
    handle.remove()
    assert messages == ["an evicting cache works inside `with keepmap.evicting(model):` alone; make this call there"]
    assert run.keep_map.shape[2] == run.report().tokens > 41, "the pass that it was in has come to its end"
    assert model.config._attn_implementation == attention and generated(model).shape == (46,)
    model.set_attn_implementation(before)


def test_an_interrupt_of_the_wait_for_a_thread_leaves_the_model_as_it_was(model: PreTrainedModel, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    own = generated(model)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), evicting(model, "h2o", **OPTIONS):
        patch.setattr("keepmap.attention.passes.calls.current_thread", stop)  # asked for where it waits
    assert torch.equal(generated(model), own)


def test_a_thread_that_left_a_call_by_an_interrupt_is_not_waited_for(model: PreTrainedModel) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    done, left = Event(), Event()

    def speak() -> None:
        with pytest.raises(KeyboardInterrupt):
            generated(model)
        left.set()
        done.wait(20)

    thread = Thread(target=speak)
    with evicting(model, "h2o", **OPTIONS):
        handle = model.model.layers[0].mlp.register_forward_pre_hook(stop)
        thread.start()
        assert left.wait(20)
    assert thread.is_alive()
    done.set()
    thread.join()
    handle.remove()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_in_the_middle_everything_is_as_before(
    model: PreTrainedModel, error: type[BaseException]
) -> None:
    own = generated(model)

    def stop(*_: object) -> None:
        raise error

    handle = model.model.layers[1].mlp.register_forward_pre_hook(stop)
    with pytest.raises(error), evicting(model, "h2o", **OPTIONS):
        generated(model)
    handle.remove()
    assert torch.equal(generated(model), own)
    with evicting(model, "h2o", **OPTIONS) as run:
        assert expected(model, generated(model)[:-1]) == run.keep_map


def test_where_memory_ends_a_program_gets_the_error_that_it_expects(model: PreTrainedModel, monkeypatch) -> None:
    """Harnesses and trainers look for it, and try again with less."""

    def stop(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    with evicting(model, "h2o", **OPTIONS) as run:
        with monkeypatch.context() as patch:
            patch.setattr("keepmap.kv.cache.layer.step", stop)
            with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
                generated(model)
        with pytest.raises(InputError, match="broken off"):
            _ = run.keep_map
        assert expected(model, generated(model)[:-1]) == run.keep_map, "the next call is on a fresh cache"


@pytest.mark.parametrize("options", [{"density": 2.0}, {"density": 0.5, "budget": 3}, {"window": -1}], ids=str)
def test_wrong_options_are_refused_before_anything_runs(model: PreTrainedModel, options: dict[str, float]) -> None:
    with pytest.raises(InputError), evicting(model, "h2o", **options):
        pytest.fail("the block was entered")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.5}, "expected `method` to be given with `density`, got none"),
        ({"chunk_size": 64}, "expected `method` to be given with `chunk_size`, got none"),
        ({"interval": 9}, "expected `method` to be given with `interval`, got none"),
        ({"seed": 3}, "expected `method` to be given with `seed`, got none"),
        ({"mode": "decode"}, "expected `method` to be given with `mode`, got none"),
        ({"chunk_size": -5}, "expected `chunk_size` to be an integer of 1 or more, got -5"),
        ({"interval": 0}, "expected `interval` to be an integer of 1 or more, got 0"),
        ({"seed": -1}, "expected `seed` to be an integer of 0 or more, got -1"),
        ({"mode": "never"}, "unknown `mode` 'never'"),
        ({"context_length": 9}, 'expected no `context_length` in mode "decode"'),
    ],
    ids=str,
)
def test_settings_without_a_method_are_checked_too(
    model: PreTrainedModel, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message), evicting(model, **options):
        pytest.fail("the block was entered")


def test_a_report_without_a_call_under_eviction_and_a_call_without_tokens_are_refused() -> None:
    model, ids = build("llama"), tokens(12)[None]
    with torch.no_grad(), evicting(model) as run:
        model(ids)
        with pytest.raises(InputError, match="expected a call under eviction, by `method` or an EvictingCache, inside"):
            run.report()
    with torch.no_grad(), evicting(model, "h2o", density=0.2, window=4) as run:
        with pytest.raises(InputError, match="expected a call of the model inside the block first"):
            run.report()
        with pytest.raises(InputError, match="to bring one token or more, got none; the cache has seen 0 tokens"):
            model(ids[:, :0])
