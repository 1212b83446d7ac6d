"""A trained surrogate as a value: what it shows, what it is good for, and how it comes back from its folder."""

import json

import numpy as np
import pytest
import torch

import keepmap
from keepmap.errors import InputError, ModelError
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.kv.surrogate_training.result import TrainedSurrogate, read_surrogate


def trained(**changes) -> TrainedSurrogate:
    torch.manual_seed(0)
    values = {
        "surrogate": KVzapSurrogate(SurrogateConfig(256, 4, 2)).requires_grad_(False),
        "model": "tiny",
        "mean": 0.625,
        "interval": (0.5, 0.75),
        "explained": np.array([[0.5, 0.75, 0.5, 0.75], [0.5, 0.75, 0.75, np.nan]]),
        "n_texts": 9,
        "n_positions": 900,
        "n_held_out_texts": 2,
        "n_held_out_positions": 1200,
        "options": {"kind": "linear"},
    }
    return TrainedSurrogate(**values | changes)


def test_it_shows_itself_shortly():
    assert repr(trained()) == (
        "TrainedSurrogate(linear, for tiny: explains 0.62 [0.50, 0.75] of the variance (n = 2 held-out texts, 1,200 "
        "positions))"
    )
    assert "[" not in repr(trained(interval=(None, None)))
    assert "<td" in trained()._repr_html_() and "KV head 3" in trained()._repr_html_()
    assert trained().paper["Qwen3-8B"] == 0.671


def test_it_is_a_method():
    eviction = keepmap.evict("tiny", "The code of river is 4821. " * 9, trained().method, density=0.5, window=8)
    scores = trained().surrogate.score(0, torch.zeros(3, 256))
    assert eviction.keep_map.info["method"] == "kvzap" and scores.shape == (3, 4)


@pytest.mark.parametrize("interval", [(0.5, 0.75), (None, None)])
def test_it_comes_back_from_its_folder(tmp_path, interval):
    value = trained(interval=interval)
    value.surrogate.save(tmp_path)
    value.write(tmp_path)
    read = read_surrogate(tmp_path)
    assert repr(read) == repr(value) and read.folder == tmp_path and read.options == {"kind": "linear"}
    np.testing.assert_array_equal(read.explained, value.explained)
    hidden = torch.randn(5, 2, 256)
    assert torch.equal(read.surrogate(hidden), value.surrogate(hidden))


def test_what_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no trained surrogate in .*: it has no explained_variance.json"):
        read_surrogate(tmp_path)
    trained().write(tmp_path)
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        read_surrogate(tmp_path)
    trained().surrogate.save(tmp_path)
    path = tmp_path / "explained_variance.json"
    good = json.loads(path.read_text())
    del good["checksum"]
    for damage, message in (
        ("[]", "is of no trained surrogate, or is damaged"),
        ("{", "is of no trained surrogate, or is damaged"),
        (json.dumps({**good, "interval": [0.5]}), "is of no trained surrogate, or is damaged"),
        (json.dumps({key: value for key, value in good.items() if key != "held_out"}), "it has no 'held_out'"),
        (json.dumps({**good, "by_layer_and_kv_head": [[0.5]]}), "its figures are not of the surrogate beside it"),
        (json.dumps({**good, "interval": [0.5, None]}), "is damaged"),
    ):
        path.write_text(damage)
        with pytest.raises(InputError, match=message) as error:
            read_surrogate(tmp_path)
        assert "\n" not in str(error.value)
