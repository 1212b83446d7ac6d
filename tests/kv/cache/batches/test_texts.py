"""A cache that becomes one of several texts: its rows, its bytes, its order, and what it refuses."""

from pathlib import Path

import pytest
import torch

from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.decoding.step import step
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.cache.report import CacheReport
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

COVERS = ("keepmap.kv.cache.batches.batch",)
IDS = torch.stack([tokens(40, seed) for seed in range(3)])
MASK = (torch.arange(40) >= torch.tensor([[0], [12], [39]])).long()


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama"))


@pytest.fixture
def batch(language_model: LanguageModel) -> EvictingCache:
    return read(new(language_model), IDS, MASK)


def new(language_model: LanguageModel) -> EvictingCache:
    return EvictingCache(language_model, "h2o", density=0.3, n_sink=2, window=4)


def read(cache: EvictingCache, ids: torch.Tensor, mask: torch.Tensor | None = None) -> EvictingCache:
    with torch.no_grad(), evicting(cache.language_model):
        cache.language_model.model(ids, attention_mask=mask, past_key_values=cache)
    return cache


def test_rows_are_caches_of_one_text_in_the_order_of_the_batch(batch: EvictingCache) -> None:
    alone = [read(new(batch.language_model), row[-n:][None]) for row, n in zip(IDS, (40, 28, 1), strict=True)]
    assert [row.keep_map() for row in batch.rows] == [cache.keep_map() for cache in alone]
    assert batch.bytes() == sum(cache.bytes() for cache in alone)
    assert repr(batch) == "EvictingCache(H2O on LlamaForCausalLM, a batch of 3, 69 tokens seen)"
    # A row is a cache like any other.
    ids = tokens(5, 9)[None]
    assert read(batch.rows[1].fork(), ids).keep_map() == read(alone[1], ids).keep_map()
    assert batch.rows[1].get_seq_length() == 28


def test_bytes_are_those_of_all_texts_and_padding_is_none_of_them(batch: EvictingCache) -> None:
    entry = 2 * 2 * 2 * 8 * 8
    report = batch.report()
    assert (report.tokens, report.full_nbytes, report.nbytes) == (69, 69 * entry, batch.bytes())
    assert report.peak_nbytes > report.nbytes and len(report.moments) == 1
    assert repr(report).startswith("CacheReport(69 tokens in 3 rows: ")
    read(batch, IDS[:, :1])
    assert [moment.tokens for moment in batch.report().moments] == [69, 72]
    assert batch.report().moments[-1].nbytes == batch.bytes()
    assert report.nothing_to_evict is None
    short = read(new(batch.language_model), IDS[:, :8], MASK[:, 8:16].clone().fill_(1))
    assert short.report().nothing_to_evict is None, "8 are more than 2 sinks and a window of 4"
    words = "nothing to evict: 15 tokens are no more than the 15 that are protected, sinks and window"
    assert read(new(batch.language_model), IDS[:, :5]).report().nothing_to_evict == words


def test_a_context_that_is_not_cut_yet_is_said(language_model: LanguageModel) -> None:
    cache = EvictingCache(language_model, "h2o", density=0.3, n_sink=2, window=4, mode="once", context_length=30)
    read(cache, IDS[:, :20], MASK[:, :20].clone().fill_(1).index_fill_(1, torch.tensor([0]), 0))
    assert cache.report().nothing_to_evict == "nothing evicted yet: the next cut comes after 11 more tokens"
    read(cache, IDS[:, 20:])
    assert cache.report().nothing_to_evict is None and cache.report().n_awaited == 0
    ragged = EvictingCache(language_model, "h2o", density=0.3, n_sink=2, window=4, mode="once", context_length=30)
    read(ragged, IDS, MASK)
    assert ragged.rows[1].report().n_awaited == 2 and ragged.report().nothing_to_evict is None, "one row is cut"


def test_rows_of_which_some_are_cut_and_some_wait(language_model: LanguageModel) -> None:
    """Rows of 40, 28 and 1 tokens: sinks and window are 6, and a chunk of `chunk_size` ends where it does."""

    def report(chunk_size: int, ids: torch.Tensor = IDS, mask: torch.Tensor = MASK) -> CacheReport:
        cache = EvictingCache(language_model, "h2o", density=0.3, n_sink=2, window=4, chunk_size=chunk_size)
        return read(cache, ids, mask).report()

    assert report(50).note == "nothing evicted yet: the next cut comes after 10 more tokens"
    assert report(30).note == "the last 39 tokens are held whole: the next cut comes after 2 more tokens"
    assert report(2).note is None, "the row of one token waits for nothing"
    short = report(20, IDS[:, :5], torch.ones(3, 5))
    assert short.note == "nothing evicted yet: the next cut comes after 15 more tokens"
    assert report(5, IDS[:, :5], torch.ones(3, 5)).note == (
        "nothing to evict: 15 tokens are no more than the 15 that are protected, sinks and window"
    )


def test_the_peak_is_of_all_rows_at_one_time(language_model: LanguageModel) -> None:
    ids = torch.stack([tokens(390, seed) for seed in range(2)])
    alone, both = (read(new(language_model), part).report() for part in (ids[:1], ids))
    entries = 390 * 2 * 2 * 8 * 8
    # While the second row reads its last layer, the first row has been cut in all of its own.
    assert alone.peak_nbytes + alone.nbytes * 0.5 < both.peak_nbytes < 2 * alone.peak_nbytes
    assert alone.peak_nbytes > entries


def test_the_peak_of_one_text_is_known_when_it_becomes_several(language_model: LanguageModel) -> None:
    cache = EvictingCache(language_model, "h2o", density=0.02, n_sink=2, window=4)
    cache.read(tokens(390))
    alone, nbytes = cache.report(), cache.bytes()
    assert alone.peak_nbytes > 3 * nbytes
    batch = read(cache.fork(), IDS[:2, :1])
    assert batch.report().peak_nbytes == alone.peak_nbytes == batch.fork().report().peak_nbytes
    read(cache, IDS[:1, :1].expand(5, -1))
    assert len(cache.rows) == 5 and cache.report().peak_nbytes == 6 * nbytes, "the one and the five that it becomes"


def test_a_text_of_which_nothing_has_come_holds_nothing(language_model: LanguageModel) -> None:
    cache = read(new(language_model), IDS[:2, :3], torch.tensor([[1, 1, 1], [0, 0, 0]]))
    assert cache.rows[1].bytes() == 0 and [moment.tokens for moment in cache.report().moments] == [3]
    with pytest.raises(InputError, match="expected a cache that has seen tokens, got a new one"):
        cache.rows[1].keep_map()
    read(cache, IDS[:2, 3:9])
    assert [row.keep_map().shape[2] for row in cache.rows] == [9, 6] and len(cache.report().moments) == 2


def test_rows_go_on_in_another_order(batch: EvictingCache) -> None:
    maps = [row.keep_map() for row in batch.rows]
    first, last = batch.rows[0], batch.rows[2]
    batch.reorder_cache(torch.tensor([2, 0, 0]))
    assert batch.rows[0] is last and batch.rows[1] is first and batch.rows[2] is not first
    assert [row.keep_map() for row in batch.rows] == [maps[2], maps[0], maps[0]]
    read(batch, IDS[:, :2])
    assert [row.get_seq_length() for row in batch.rows] == [3, 42, 42]
    assert batch.rows[1].keep_map() != batch.rows[2].keep_map(), "they do not know each other"
    batch.batch_select_indices(torch.tensor([1]))
    assert batch.only() is batch.rows[0] is first
    batch.batch_repeat_interleave(2)
    assert [row.get_seq_length() for row in batch.rows] == [42, 42]


def test_one_text_is_multiplied(language_model: LanguageModel) -> None:
    cache = read(new(language_model), IDS[:1])
    expected = cache.keep_map()
    cache.batch_repeat_interleave(3)
    read(cache, IDS[:, :1])
    assert [row.get_seq_length() for row in cache.rows] == [41] * 3 and cache.get_seq_length() == 41
    assert cache.rows[2].keep_map().kept()[:, :, :36].le(expected.kept()[:, :, :36]).all()


def test_a_fork_of_a_batch_and_its_origin_do_not_know_each_other(batch: EvictingCache) -> None:
    before, fork = [row.keep_map() for row in batch.rows], batch.fork()
    assert fork.report().rows == batch.report().rows and fork.report().peak_nbytes == batch.report().peak_nbytes
    read(fork, IDS[:, :3])
    assert [row.keep_map() for row in batch.rows] == before and len(batch.report().moments) == 1
    assert fork.get_seq_length() == 43 and batch.get_seq_length() == 40


def test_what_is_of_one_text_is_refused(batch: EvictingCache, tmp_path: Path) -> None:
    for call in (batch.keep_map, batch.to_dynamic, lambda: batch.save(tmp_path / "cache")):
        with pytest.raises(InputError, match="^expected a cache of one text, got one of a batch of 3; take"):
            call()
    with pytest.raises(InputError, match="^expected a cache of one text without padding"):
        batch.read(IDS[0])
    with evicting(batch.language_model) as run, torch.no_grad():
        with pytest.raises(InputError, match="^expected 3 texts, which this cache is of, got 1"):
            run.model(IDS[:1], past_key_values=batch)
        run.model(IDS[:, :1], past_key_values=batch)
        with pytest.raises(InputError, match="^expected one text, got a batch of 3; `keep_maps` has one per text"):
            _ = run.keep_map
    batch.rows[1].save(tmp_path / "row")
    again = EvictingCache.load(tmp_path / "row", batch.language_model)
    assert again.keep_map() == batch.rows[1].keep_map()


def test_a_text_may_be_as_long_as_the_model_takes_padding_aside(language_model: LanguageModel) -> None:
    ids = tokens(2050)[None]
    cache = read(new(language_model), ids, (torch.arange(2050) >= 2).long()[None])
    assert cache.rows[0].get_seq_length() == 2048
    with pytest.raises(InputError, match="^expected at most 2048 tokens, .*got 2049"):
        read(cache, ids[:, :1])


def test_a_pass_that_broke_off_in_a_row_is_noticed(batch: EvictingCache, monkeypatch) -> None:
    rows: list[int] = []

    def ended(call, held, *rest):
        rows.append(call.layer)
        if len(rows) == 5:  # of two layers and three rows, the second row in the last layer
            raise KeyboardInterrupt
        return step(call, held, *rest)

    monkeypatch.setattr("keepmap.kv.cache.layer.step", ended)
    with pytest.raises(KeyboardInterrupt):
        read(batch, IDS[:, :1])
    for use in (lambda: read(batch, IDS[:, :1]), batch.fork, lambda: batch.reorder_cache(torch.tensor([0]))):
        with pytest.raises(InputError, match="a pass on this cache was broken off"):
            use()


def test_a_pass_over_padding_alone_that_broke_off_is_noticed(language_model: LanguageModel) -> None:
    cache, layer = new(language_model), language_model.model.model.layers[1]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    handle = layer.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        read(cache, IDS[:, :3], torch.zeros(3, 3))
    handle.remove()
    with pytest.raises(InputError, match="a pass on this cache was broken off"):
        read(cache, IDS[:, :1])


def test_it_can_be_emptied(batch: EvictingCache) -> None:
    batch.reset()
    assert batch.get_seq_length() == 0 and batch.report().moments == () and batch.rows == (batch,)
    assert read(batch, IDS[:1]).keep_map() == read(new(batch.language_model), IDS[:1]).keep_map()
