"""Several texts on one real cache against `evict`: each is evicted as if it were alone, whatever stands beside it."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from keepmap.core.keep_map import KeepMap
from keepmap.kv.cache.evicting import evicting
from tests.conformance.cases import METHODS, RULES, Case, model_of
from tests.conformance.test_cache import HELD, N, assert_same, new_cache, read, setting, truth
from tests.families import FAMILIES, tokens

COVERS = ("keepmap.kv.cache.batches.layer", "keepmap.kv.cache.interface")
LENGTHS = (30, 44, 7)
NEW = 9
GREEDY = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def padded(texts: Sequence[Tensor], width: int = 0) -> tuple[Tensor, Tensor]:
    """Texts of different lengths as one tensor with padding at the left, and its mask."""
    width = max(width, *map(len, texts))
    rows = [torch.cat([torch.full((width - len(text),), 5), text]) for text in texts]
    masks = [(torch.arange(width) >= width - len(text)).long() for text in texts]
    return torch.stack(rows), torch.stack(masks)


def drawn(case: Case, lengths: Sequence[int] = LENGTHS) -> list[Tensor]:
    return [tokens(length, case.seed + at) for at, length in enumerate(lengths)]


def generate(
    case: Case, texts: Sequence[Tensor], **arguments: object
) -> tuple[list[Tensor], Tensor, Sequence[KeepMap]]:
    """What the model saw of each text, the logits of what it generated, and what was kept."""
    language_model, method, options = setting(case)
    ids, mask = padded(texts)
    with evicting(language_model, method, **options) as run:
        result = language_model.model.generate(
            ids, attention_mask=mask, output_logits=True, return_dict_in_generate=True, **GREEDY | arguments
        )
    rows = zip(result.sequences, texts, strict=True)
    return [row[ids.shape[1] - len(text) : -1] for row, text in rows], torch.stack(result.logits, 1), run.keep_maps


def assert_each_alone(
    case: Case, rows: Sequence[Tensor], logits: Tensor, kept: Sequence[KeepMap], tolerance: float = 1e-6
) -> None:
    for ids, own, keep_map in zip(rows, logits, kept, strict=True):
        context = None if case.context_length is None else len(ids) - NEW + 1
        assert_same(keep_map, own, truth(replace(case, context_length=context), ids), tolerance)


def cases() -> Iterator[Case]:
    """Every family, every method and every rule."""
    draw = random.Random(20_261_130)
    for seed, family in enumerate(FAMILIES):
        chunk = draw.choice((1, 1, 7))
        yield Case(family, HELD[seed % len(HELD)], RULES[seed % 3], chunk, draw.choice((0, 5)), 2, N, seed)
    yield Case("gpt2", "h2o", "density", 1, 5, 4, N, dtype=torch.float32)
    yield Case("gpt_oss", "key_norm", "threshold", 1, 5, 4, N, dtype=torch.float32)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_each_text_is_evicted_as_if_it_were_alone(case: Case) -> None:
    rows, logits, kept = generate(case, drawn(case))
    assert [keep_map.shape[2] for keep_map in kept] == [length + NEW - 1 for length in LENGTHS]
    assert_each_alone(case, rows, logits, kept, 1e-5 if case.dtype == torch.float32 else 1e-6)


@pytest.mark.parametrize("method", ["random", "key_norm", "h2o", "snapkv"])
def test_in_bfloat16_each_text_is_evicted_as_on_a_cache_of_its_own(method: str) -> None:
    """The same calls, one text at a time: what differs is how a product of several rows rounds."""
    case = Case("llama", method, "density", 1, 5, 2, N, dtype=torch.bfloat16)
    rows, logits, kept = generate(case, drawn(case))
    for ids, own, keep_map in zip(rows, logits, kept, strict=True):
        cache = new_cache(case)
        alone = read(cache, ids, [len(ids) - NEW + 1, *[1] * (NEW - 1)])
        assert cache.keep_map() == keep_map
        # Where a machine has products of its own for several rows, that is the last digit, and what follows from it.
        assert float((own - alone[-NEW:].float()).abs().max()) <= 2**-6 * float(own.abs().max())


@pytest.mark.parametrize("method", METHODS)
def test_each_text_is_cut_where_it_ends(method: str) -> None:
    case = Case("llama", method, "density", 1, 5, 2, N, context_length=1)
    language_model, instance, options = setting(case)
    del options["context_length"]
    texts = drawn(case)
    ids, mask = padded(texts)
    with evicting(language_model, instance, **options) as run:
        result = language_model.model.generate(
            ids, attention_mask=mask, output_logits=True, return_dict_in_generate=True, **GREEDY
        )
    rows = [row[ids.shape[1] - len(text) : -1] for row, text in zip(result.sequences, texts, strict=True)]
    assert_each_alone(case, rows, torch.stack(result.logits, 1), run.keep_maps)


@pytest.mark.parametrize("family", ["mistral", "gpt2"])
def test_prompts_in_chunks_of_which_some_are_padding_alone(family: str) -> None:
    case = Case(family, "h2o", "density", 1, 5, 4, N)
    assert_each_alone(case, *generate(case, drawn(case), prefill_chunk_size=11))


@pytest.mark.parametrize("family", ["gpt2", "mistral"])
@settings(max_examples=10)
@given(data=st.data())
def test_however_a_batch_comes_it_is_the_same(family: str, data: st.DataObject) -> None:
    """Plain calls, that know of positions what the mask says, in parts, with a fork on the way."""
    case = Case(family, data.draw(st.sampled_from(HELD)), data.draw(st.sampled_from(RULES)), 1, 5, 2, N)
    lengths = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3))
    texts = drawn(case, lengths)
    ids, mask = padded(texts, max(lengths) + data.draw(st.sampled_from((0, 3))))
    width = ids.shape[1]
    ends = [0, *sorted(data.draw(st.sets(st.integers(1, width - 1), max_size=4)) if width > 1 else ()), width]
    # compactor looks at keys before their rotation, and for that at two positions or more of a text's first call.
    first = [next(end for end in ends if end > width - length) - (width - length) for length in lengths]
    assume(case.method != "compactor" or min(first) > 1)
    cache, model = new_cache(case), model_of(case).model
    logits = []
    with torch.no_grad(), evicting(model):
        for begin, end in zip(ends, ends[1:], strict=False):
            if data.draw(st.booleans()):
                cache = cache.fork()
            logits.append(model(ids[:, begin:end], attention_mask=mask[:, :end], past_key_values=cache).logits)
    own = [part[width - length :] for part, length in zip(torch.cat(logits, 1), lengths, strict=True)]
    for text, part, row in zip(texts, own, cache.rows, strict=True):
        assert_same(row.keep_map(), part, truth(case, text))
    assert cache.get_seq_length() == width and cache.report().tokens == sum(lengths)


def test_texts_without_a_mask_are_texts_of_one_length() -> None:
    """As evaluation harnesses call: padding at the right is seen by nobody before it."""
    case = Case("llama", "h2o", "density", 1, 5, 4, N)
    language_model, method, options = setting(case)
    texts = drawn(case, (40, 40))
    with torch.no_grad(), evicting(language_model, method, **options) as run:
        logits = language_model.model(torch.stack(texts)).logits
    for text, own, keep_map in zip(texts, logits, run.keep_maps, strict=True):
        assert_same(keep_map, own, truth(case, text))


@pytest.mark.parametrize("method", ["h2o", "key_norm"])
def test_two_turns_of_a_batch_on_one_cache(method: str) -> None:
    case = Case("gpt_oss", method, "density", 1, 5, 2, N)
    model, cache, texts = model_of(case).model, new_cache(case), drawn(case)
    ids, mask = padded(texts)
    with evicting(model):
        first = model.generate(ids, attention_mask=mask, past_key_values=cache, **GREEDY)
        more = torch.stack([tokens(5, 50 + at) for at in range(len(texts))])
        both = torch.cat([first, more], dim=1)
        mask = torch.cat([mask, torch.ones(len(texts), both.shape[1] - mask.shape[1], dtype=torch.int64)], dim=1)
        second = model.generate(both, attention_mask=mask, past_key_values=cache, **GREEDY)
    for row, text, own in zip(second, texts, cache.rows, strict=True):
        assert own.keep_map() == truth(case, row[ids.shape[1] - len(text) : -1]).keep_map


def test_a_context_that_was_read_goes_on_in_a_batch() -> None:
    case = Case("llama", "h2o", "density", 1, 5, 2, N)
    cache, model, context = new_cache(case), model_of(case).model, tokens(30)
    cache.read(context)
    before = cache.keep_map()
    batch = cache.fork()
    questions = torch.stack([tokens(6, 1), tokens(6, 2)])
    both = torch.cat([context.expand(2, -1), questions], dim=1)
    with evicting(model):
        output = model.generate(both, attention_mask=torch.ones_like(both), past_key_values=batch, **GREEDY)
    for row, own in zip(output, batch.rows, strict=True):
        assert own.keep_map() == truth(case, row[:-1]).keep_map
    assert cache.keep_map() == before and cache.rows == (cache,)
    assert batch.report().moments[0].tokens == 60, "both have read the context"


@pytest.mark.parametrize("padding", [0, 9])
def test_one_text_with_padding_or_without_is_one_text(padding: int) -> None:
    case = Case("gpt_neox", "h2o", "density", 1, 5, 2, N)
    language_model, method, options = setting(case)
    text = tokens(30)
    ids, mask = padded([text], 30 + padding)
    with evicting(language_model, method, **options) as run:
        output = language_model.model.generate(ids, attention_mask=mask, **GREEDY)
    expected = truth(case, output[0, padding:-1]).keep_map
    assert run.keep_map == expected and run.keep_maps == (expected,)
    assert run.report().tokens == expected.shape[2] and run.cache.to_dynamic().get_seq_length() < 38


@pytest.mark.parametrize("arguments", [{"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2}], ids=str)
def test_beams_say_what_they_say_when_each_text_is_computed_anew(arguments: dict[str, int]) -> None:
    """Without a cache `generate` reads the whole text of every beam at each step, under eviction."""
    case = Case("llama", "h2o", "density", 1, 5, 2, N)
    language_model, method, options = setting(case)
    ids, mask = padded(drawn(case, (20, 31)))
    arguments = GREEDY | {"length_penalty": 0.0, "attention_mask": mask} | arguments
    own = language_model.model.generate(ids, **arguments)
    with evicting(language_model, method, **options) as run:
        output = language_model.model.generate(ids, **arguments)
        assert len(run.keep_maps) == 2 * arguments["num_beams"] and len({len(row.rows) for row in run.cache.rows}) == 1
        cache = run.cache
        again = language_model.model.generate(ids, use_cache=False, **arguments)
    assert torch.equal(output, again) and not torch.equal(output, own)
    assert cache.get_seq_length() == output.shape[1] - 1


def test_several_answers_to_one_text() -> None:
    case = Case("mistral", "key_norm", "budget", 1, 5, 2, N)
    language_model, method, options = setting(case)
    text = tokens(30)
    torch.manual_seed(1)
    with evicting(language_model, method, **options) as run:
        arguments = GREEDY | {"do_sample": True, "num_return_sequences": 3, "attention_mask": torch.ones(1, 30)}
        output = language_model.model.generate(text[None], **arguments)
    assert len({tuple(row.tolist()) for row in output}) == 3
    for row, keep_map in zip(output, run.keep_maps, strict=True):
        assert keep_map == truth(case, row[:-1]).keep_map
