"""The cache as a value: forks, files, plain caches, and what it refuses."""

import resource
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.core.storage.tensors import read_labelled, write_labelled
from keepmap.errors import InputError, ModelError, OutputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.decoding.step import step
from keepmap.kv.cache.evicting import evicting
from keepmap.kv.method import LayerInput
from keepmap.kv.methods.random import Random
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

COVERS = ("keepmap.kv.cache.files",)
IDS = tokens(40)


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama"))


def new(language_model: LanguageModel, method: str = "h2o", **options: float) -> EvictingCache:
    return EvictingCache(language_model, method, n_sink=2, window=4, **options or {"density": 0.3})


def read(cache: EvictingCache, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad(), evicting(cache.language_model):
        return cache.language_model.model(input_ids=ids[None], past_key_values=cache).logits[0]


def test_a_fork_and_its_origin_do_not_know_each_other(language_model: LanguageModel) -> None:
    cache = new(language_model)
    read(cache)
    fork, before = cache.fork(), cache.keep_map()
    first = read(fork, tokens(5, 1))
    assert cache.keep_map() == before and fork.get_seq_length() == 45
    assert torch.equal(read(cache.fork(), tokens(5, 1)), first)
    assert len(cache.report().moments) == 1 and len(fork.report().moments) == 2


def test_bytes_fall_and_the_report_says_so(language_model: LanguageModel) -> None:
    ids = tokens(390)
    cache, full = new(language_model, density=0.1), new(language_model, "baseline", threshold=float("-inf"))
    read(cache, ids)
    read(full, ids)
    entries = int(cache.keep_map().kept().sum()) * 2 * 8 * 8
    report = cache.report()
    assert entries < cache.bytes() == report.nbytes < 0.5 * report.full_nbytes == 0.5 * 390 * 2 * 2 * 2 * 8 * 8
    assert report.nbytes < report.peak_nbytes < report.full_nbytes
    assert full.bytes() > report.full_nbytes


@pytest.mark.parametrize("rule", [{"budget": 4, "chunk_size": 100}, {"threshold": 2.0, "chunk_size": 100}])
def test_steps_give_room_back_when_many_go_at_once(language_model: LanguageModel, rule: dict[str, float]) -> None:
    cache = new(language_model, "random", **rule)
    with torch.no_grad(), evicting(cache.language_model):
        for token in tokens(101):
            if cache.get_seq_length() == 99:
                before = cache.layer(0).held.slabs.nbytes
            cache.language_model.model(input_ids=token.view(1, 1), past_key_values=cache)
    assert cache.layer(0).held.slabs.nbytes < before / 3


def test_a_step_of_a_call_that_keeps_gradients_is_the_same() -> None:
    model = build("llama").requires_grad_(True)
    cache = EvictingCache(model, "h2o", n_sink=2, window=4, density=0.3)
    read(cache)
    fork = cache.fork()
    with evicting(model):
        logits = model(input_ids=IDS[:1, None], past_key_values=fork).logits[0]
    assert logits.requires_grad and torch.equal(logits.detach(), read(cache, IDS[:1]))


def test_sliding_layers_hold_what_their_window_shows() -> None:
    cache = EvictingCache(build("mistral"), "random", threshold=0.0, n_sink=0, window=4)
    read(cache, tokens(200))
    assert cache.keep_map().density() == 1.0, "the rule drops nothing"
    everything = 200 * 2 * 2 * 2 * 8 * 8
    assert cache.report().full_nbytes <= 24 * everything / 200 and cache.bytes() < 0.35 * everything


def test_a_pass_that_ends_in_the_last_layer_breaks_the_cache(language_model: LanguageModel, monkeypatch) -> None:
    cache = new(language_model)
    read(cache)

    def ended(call, held, *rest):
        output = step(call, held, *rest)
        if call.layer == language_model.n_layers - 1:
            raise KeyboardInterrupt
        return output

    monkeypatch.setattr("keepmap.kv.cache.layer.step", ended)
    with pytest.raises(KeyboardInterrupt):
        read(cache, IDS[:1])
    assert {layer.get_seq_length() for layer in cache.layers} == {41}, "their lengths do not give it away"
    for use in (cache.keep_map, cache.fork, lambda: cache.read(IDS)):
        with pytest.raises(InputError, match="a pass on this cache was broken off"):
            use()


@pytest.mark.parametrize("call", ["keep_map", "to_dynamic", "save"])
def test_a_new_cache_has_nothing_to_say(language_model: LanguageModel, call: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run the model on it first"):
        getattr(new(language_model), call)(*[tmp_path / "x"] * (call == "save"))


def test_outside_of_a_block_it_is_refused(language_model: LanguageModel) -> None:
    cache = new(language_model)
    with pytest.raises(InputError, match="inside `with keepmap.evicting"), torch.no_grad():
        language_model.model(input_ids=IDS[None], past_key_values=cache)
    assert cache.get_seq_length() == 0 and read(cache).shape[0] == 40


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("crop", (-1,)),
        ("activate_past_recording", ()),
        ("offload", (0,)),
    ],
)
def test_what_takes_back_or_moves_is_refused(
    language_model: LanguageModel, name: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(InputError, match="evicting cache"):
        getattr(new(language_model), name)(*arguments)


def test_it_can_be_emptied(language_model: LanguageModel) -> None:
    cache = new(language_model)
    first = read(cache)
    cache.reset()
    assert cache.get_seq_length() == 0 and cache.bytes() == 0 and cache.report().moments == ()
    assert torch.equal(read(cache), first)


def test_scores_of_positions_alone_are_asked_for_ahead(language_model: LanguageModel) -> None:
    widths: list[int] = []

    class Counting(Random):
        by_position = True

        def score(self, layer: LayerInput) -> torch.Tensor:
            widths.append(layer.keys.shape[1])
            return super().score(layer)

    class Looking(Random):
        def score(self, layer: LayerInput) -> torch.Tensor:
            return super().score(layer) * layer.keys.sum(dim=-1).sign()

    assert Random.by_position and not Looking.by_position
    for method in (Counting(), Looking()):
        cache = EvictingCache(language_model, method, n_sink=2, window=4, density=0.3)
        for part in tokens(90).split([4, *[1] * 70, 13, 1, 1, 1]):
            read(cache, part)
        expected = keepmap.evict(language_model, tokens(90), method, n_sink=2, window=4, density=0.3).keep_map
        assert cache.keep_map() == expected
    assert widths == [4, 4, *[64] * 4, 13, 13, 90, 90]


def test_what_needs_the_whole_prefix_is_refused(language_model: LanguageModel) -> None:
    with pytest.raises(InputError, match="expected_attention.*need all of it; give mode="):
        EvictingCache(language_model, "expected_attention")


def test_a_pass_that_broke_off_is_noticed(language_model: LanguageModel) -> None:
    cache, layer = new(language_model), language_model.model.model.layers[1]
    read(cache)
    fork = cache.fork()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    handle = layer.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        read(cache, IDS[:1])
    handle.remove()
    for refused in (lambda: read(cache, IDS[:1]), cache.keep_map, cache.fork):
        with pytest.raises(InputError, match="broken off"):
            refused()
    assert read(fork, IDS[:1]).shape[0] == 1


def test_a_file_is_read_back(language_model: LanguageModel, tmp_path: Path) -> None:
    cache, path = new(language_model, "random", threshold=0.5), tmp_path / "new" / "cache.safetensors"
    read(cache)
    cache.save(path)
    again = EvictingCache.load(path, language_model)
    assert again.keep_map() == cache.keep_map() and again.bytes() <= cache.bytes()
    report, before = again.report(), cache.report()
    assert (report.tokens, report.nbytes, report.full_nbytes) == (40, again.bytes(), before.full_nbytes)
    assert report.peak_nbytes == before.peak_nbytes > report.nbytes
    assert torch.equal(read(again, IDS[:3]), read(cache, IDS[:3]))
    cache.save(path)  # another cache may be written over


def test_a_full_disk_leaves_the_earlier_file(language_model: LanguageModel, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk."""
    path, cache = tmp_path / "cache.safetensors", new(language_model)
    read(cache)
    cache.save(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    read(cache, tokens(200, 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(OutputError, match=r"^cannot write .*cache\.safetensors: File too large$"):
            cache.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_where_the_memory_of_a_gpu_ends_it_is_one_line(language_model: LanguageModel) -> None:
    cache = new(language_model)
    read(cache)
    fork = cache.fork()

    def stop(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    handle = language_model.model.model.layers[1].register_forward_pre_hook(stop)
    with pytest.raises(ModelError, match="^reading 40 tokens with H2O does not go into the memory of cpu; give a"):
        cache.read(IDS)
    handle.remove()
    with pytest.raises(InputError, match="broken off"):
        cache.read(IDS)
    fork.read(IDS)
    assert fork.get_seq_length() == 80


def test_a_file_of_another_model_or_method_is_refused(language_model: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "cache.safetensors"
    cache = new(language_model)
    read(cache)
    cache.save(path)
    with pytest.raises(InputError, match="cache.safetensors holds a cache of another model") as refused:
        EvictingCache.load(path, build("llama", seed=1))
    assert "damaged" not in str(refused.value)
    with pytest.raises(InputError, match="another method"):
        EvictingCache.load(path, language_model, keepmap.methods()["random"]())
    with pytest.raises(InputError, match="no such file"):
        EvictingCache.load(tmp_path / "none", language_model)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="not a cache"):
        EvictingCache.load(tmp_path / "text", language_model)
    with pytest.raises(OutputError, match="not a cache"):
        cache.save(tmp_path / "text")


CHANGES = {
    "1.keys": lambda value: value[:-1],
    "0.values": lambda value: value.float(),
    "0.columns.counts": lambda value: value + 1_000_000_000,
    "1.columns.positions": lambda value: value + 39,
    "0.columns.scores": lambda value: value[:3],
    "0.ghosts.counts": lambda value: value - 1,
    "1.expires": lambda value: value[:, :5],
    "1.known": lambda value: value.double(),
    "0.expires": lambda value: torch.where(value == value.max(), 0, value),
}


@pytest.mark.parametrize("name", [*CHANGES, "missing", "seen", "damaged"])
def test_a_file_that_does_not_agree_with_itself_is_refused(
    language_model: LanguageModel, tmp_path: Path, name: str
) -> None:
    path, other = tmp_path / "cache.safetensors", tmp_path / "other.safetensors"
    cache = new(language_model)
    read(cache)
    cache.save(path)
    about, tensors = read_labelled(path, "keepmap-cache/1")
    if name in CHANGES:
        tensors[name] = CHANGES[name](tensors[name]).contiguous()
    elif name == "missing":
        del tensors["0.keys"]
    elif name == "seen":
        about["seen"] = 10**15
    write_labelled(other, "keepmap-cache/1", about, tensors, kind="a cache")
    if name == "damaged":
        other.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(InputError, match="is not a cache, or is damaged"):
        EvictingCache.load(other, language_model)
