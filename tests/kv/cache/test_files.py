"""The method that a cache was made with is the one that goes on with it, whatever of it is no number."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from keepmap.core.storage.tensors import read_labelled, write_labelled
from keepmap.errors import InputError
from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.cache.files import FORMAT
from keepmap.kv.method import Method, Scored
from keepmap.kv.methods.criticalkv import CriticalKV
from keepmap.kv.methods.h2o import H2O
from keepmap.kv.methods.kvzap import KVzap
from keepmap.language_model import LanguageModel, load_language_model
from tests.families import build, tokens

OPTIONS = {"density": 0.3, "n_sink": 2, "window": 4}


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return load_language_model(build("llama", torch.float32))


class Opposite(H2O):
    """Another class of the same name."""

    def score(self, total, queries):
        return -super().score(total, queries)


class Weighted(Scored):
    """No dataclass, with an array and a number of its own."""

    name, label, needs = "weighted", "Weighted", "position"

    def __init__(self, weights: object, power: float = 1.0) -> None:
        self.weights, self.power = weights, power

    def score(self, layer):
        return (layer.values.double() @ torch.as_tensor(self.weights)).abs() ** self.power


class Network(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        self.heads = nn.Linear(32, 2)
        nn.init.constant_(self.heads.weight, gain)
        nn.init.zeros_(self.heads.bias)

    def score(self, layer: int, hidden: torch.Tensor) -> torch.Tensor:
        return self.heads(hidden).sin()


def by_function(gain: float) -> KVzap:
    return KVzap(lambda layer, hidden: (hidden[:, :2] * gain).sin())


ONES = np.ones(8)
SAME = {
    "class": (Opposite, Opposite),
    "array": (lambda: Weighted(np.ones(8)), lambda: Weighted(ONES)),
    "tensor": (lambda: Weighted(torch.ones(8).double()), lambda: Weighted(torch.ones(8).double())),
    "weights": (lambda: KVzap(Network(2.0).score), lambda: KVzap(Network(2.0).score)),
    "function": (lambda: by_function(2.0), lambda: by_function(2.0)),
    "option": (lambda: CriticalKV("tova"), lambda: CriticalKV("tova")),
}
OTHER = {
    "class": (Opposite, H2O, r"with `class` 'Opposite', got 'keepmap\.kv\.methods\.h2o\.H2O'"),
    "own class": (H2O, Opposite, r"with `class` 'keepmap\.kv\.methods\.h2o\.H2O', got 'Opposite'"),
    "array": (lambda: Weighted(ONES), lambda: Weighted(2 * ONES), "with other arrays, weights or functions"),
    "number": (lambda: Weighted(ONES), lambda: Weighted(ONES, 2.0), "with `power` 1.0, got 2.0"),
    "weights": (lambda: KVzap(Network(2.0).score), lambda: KVzap(Network(3.0).score), "with other arrays"),
    "function": (lambda: by_function(2.0), lambda: by_function(3.0), "with other arrays, weights or functions"),
    "option": (lambda: CriticalKV("tova"), lambda: CriticalKV("lru"), "with `base` 'tova', got 'lru'"),
}


def saved(language_model: LanguageModel, method: Method, path: Path) -> Path:
    cache = EvictingCache(language_model, method, **OPTIONS)
    with torch.no_grad():
        cache.read(tokens(12))
    cache.save(path / "cache.safetensors")
    return path / "cache.safetensors"


@pytest.mark.parametrize("case", SAME)
def test_the_same_method_goes_on(language_model: LanguageModel, case: str, tmp_path: Path) -> None:
    method, again = SAME[case]
    path = saved(language_model, method(), tmp_path)
    assert EvictingCache.load(path, language_model, again()).get_seq_length() == 12


@pytest.mark.parametrize("case", OTHER)
def test_another_one_is_refused(language_model: LanguageModel, case: str, tmp_path: Path) -> None:
    method, other, message = OTHER[case]
    path = saved(language_model, method(), tmp_path)
    with pytest.raises(
        InputError, match=rf"holds a cache of another method, .*{message}.*; give the `method`"
    ) as refused:
        EvictingCache.load(path, language_model, other())
    assert "\n" not in str(refused.value)


def test_a_file_that_says_nothing_of_the_class_is_read(language_model: LanguageModel, tmp_path: Path) -> None:
    for method in (H2O(), CriticalKV("tova")):
        about, tensors = read_labelled(saved(language_model, method, tmp_path), FORMAT)
        del about["class"], about["parameters"]
        write_labelled(tmp_path / "before", FORMAT, about, tensors, kind="a cache")
        assert EvictingCache.load(tmp_path / "before", language_model, method).get_seq_length() == 12
    assert about["options"] == {"base": "tova", "first": 0.5}
