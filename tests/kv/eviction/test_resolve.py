"""From names to methods: instances as they are, surrogates where they are needed and known."""

import pytest
import torch

from keepmap.errors import InputError, ModelError
from keepmap.kv.eviction.resolve import as_method, resolve_method
from keepmap.kv.methods.h2o import H2O
from keepmap.kv.methods.kvzap import KVzap
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig
from keepmap.language_model import load_language_model
from tests.families import build


@pytest.fixture(scope="module")
def llama():
    return load_language_model(build("llama"))


def test_an_instance_is_itself_and_a_name_its_method(llama):
    method = H2O()
    assert as_method(method, llama) is method
    assert type(as_method("h2o", llama)) is H2O
    with pytest.raises(InputError, match=r"write H2O\(\)"):
        as_method(H2O, llama)
    with pytest.raises(InputError, match="got an int"):
        as_method(3, llama)
    with pytest.raises(InputError, match='did you mean "h2o"'):
        as_method("h20", llama)


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_the_embedded_model_has_its_surrogates(kind):
    method = resolve_method("kvzap", load_language_model("tiny", device="cpu"), kvzap_model_type=kind)
    scores = method.surrogate(1, torch.zeros(7, 256))
    hidden = getattr(method.surrogate, "__self__").config.hidden_dim  # noqa: B009
    assert scores.shape[0] == 7 and (hidden is None) == (kind == "linear")


def test_a_surrogate_of_ones_own_has_to_fit(llama, tmp_path):
    config = SurrogateConfig(input_dim=32, output_dim=2, n_modules=2)
    torch.manual_seed(0)
    surrogate = KVzapSurrogate(config)
    surrogate.save(tmp_path)
    method = resolve_method("kvzap", llama, kvzap_scorer_model=tmp_path)
    assert isinstance(method, KVzap)
    hidden = torch.randn(5, 32)
    torch.testing.assert_close(method.surrogate(1, hidden), surrogate.score(1, hidden))
    with pytest.raises(ModelError, match="does not fit the model"):
        resolve_method("kvzap", load_language_model(build("llama_mqa")), kvzap_scorer_model=tmp_path)


def test_a_surrogate_that_the_package_carries_is_known_by_the_weights(llama, tmp_path, monkeypatch):
    monkeypatch.setattr("keepmap.kv.eviction.resolve.EMBEDDED", {"tiny": tmp_path / "tiny"})
    torch.manual_seed(0)
    surrogate = KVzapSurrogate(SurrogateConfig(input_dim=32, output_dim=2, n_modules=2))
    surrogate.save(tmp_path / "some_model" / "kvzap-linear", llama)
    method = resolve_method("kvzap", llama)
    hidden = torch.randn(5, 32)
    torch.testing.assert_close(method.surrogate(1, hidden), surrogate.score(1, hidden))
    assert isinstance(resolve_method("kvzap", llama, kvzap_model_type="linear"), KVzap)
    with pytest.raises(ModelError, match="no mlp KVzap surrogate is known"):
        resolve_method("kvzap", llama, kvzap_model_type="mlp")
    with pytest.raises(ModelError, match="no KVzap surrogate is known"):
        resolve_method("kvzap", load_language_model(build("llama_mqa")))


def test_what_no_surrogate_is_known_for_is_one_line(llama):
    with pytest.raises(ModelError, match=r'no KVzap surrogate is known for model "LlamaForCausalLM"; make one by'):
        resolve_method("kvzap", llama)
    with pytest.raises(ModelError, match=r"no mlp KVzap surrogate .*, give one as `kvzap_scorer_model`"):
        resolve_method("kvzap", llama, kvzap_model_type="mlp")
    with pytest.raises(InputError, match='`kvzap_model_type` "mpl", did you mean "mlp"'):
        resolve_method("kvzap", llama, kvzap_model_type="mpl")
