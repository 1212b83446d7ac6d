"""`keepmap.compare`: silent, from any model and texts, with methods of one's own; the same figures as the command's."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from keepmap.errors import InputError, ModelError
from keepmap.kv.comparison.compare import compare
from keepmap.kv.comparison.run import Run
from keepmap.kv.comparison.session import open_session
from keepmap.kv.eviction.evict import evict
from keepmap.kv.method import LayerInput, Scored
from keepmap.kv.methods.h2o import H2O
from keepmap.language_model import load_language_model
from tests.kv.comparison.jobs import job, place

TEXT = "the quick brown fox and the lazy dog; " * 3


@dataclass(frozen=True)
class Latest(Scored):
    """A method of a user's: keeps what is latest."""

    weight: float = 1.0
    name: ClassVar[str] = "latest"
    label: ClassVar[str] = "Latest"
    needs: ClassVar[str] = "position"
    density: ClassVar[float | None] = 0.5

    def score(self, layer: LayerInput) -> Float[Tensor, "G N"]:
        """The position."""
        groups, n = layer.keys.shape[:2]
        return self.weight * torch.arange(float(n)).expand(groups, n)


@pytest.fixture(scope="module")
def language_model(model_folder):
    return load_language_model(model_folder, device="cpu")


def test_the_figures_are_those_of_a_run_and_nothing_is_printed_or_written(
    model_folder, data_file, tmp_path, monkeypatch, capfd
):
    run = Run(job(model_folder, data_file, tmp_path / "out", "random h2o"), ["cpu"], place(tmp_path / "out"))
    list(run.events())
    expected = run.comparison()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    texts = [text.ids for text in open_session(run.job, "cpu").samples]
    capfd.readouterr()
    shares: list[float] = []
    comparison = compare(
        str(model_folder),
        [list(ids) for ids in texts],
        ["random", "h2o"],
        window=16,
        h2o_local_window_size=32,
        progress=shares.append,
    )
    assert capfd.readouterr() == ("", "") and not list((tmp_path / "empty").iterdir())
    assert (comparison.samples, comparison.methods, comparison.baseline) == (
        expected.samples,
        expected.methods,
        expected.baseline,
    )
    assert dict(comparison.keep_maps) == dict(expected.keep_maps) and set(comparison.keep_maps) == {"random", "h2o"}
    for key, costs in comparison.token_costs.items():
        saved = expected.token_costs[key]
        assert (costs.nll == saved.nll).all() and (costs.kl == saved.kl).all() and costs.pieces == saved.pieces
        assert float(costs.nll.sum()) == pytest.approx(comparison.document()["methods"][key]["samples"][0]["nll"])
    assert set(comparison.token_costs) == {"baseline_no_chunking", "baseline", "random", "h2o"}
    assert shares == sorted(shares) and (len(shares), shares[-1]) == (2 * 4 * 4, 1.0)


def test_methods_of_ones_own_and_names_are_mixed(language_model):
    comparison = compare(
        language_model, TEXT, [Latest(), "h2o", Latest(weight=-1.0), H2O()], window=16, h2o_local_window_size=32
    )
    by_key = {row.method_key: row for row in comparison.methods}
    assert {key: row.method for key, row in by_key.items()} == {
        "latest": "Latest",
        "latest_2": "Latest 2",
        "h2o": "H2O",
        "h2o_2": "H2O 2",
    }
    assert by_key["latest"].nll_delta != by_key["latest_2"].nll_delta
    assert (by_key["h2o"].avg_nll, by_key["h2o"].window) == (by_key["h2o_2"].avg_nll, by_key["h2o_2"].window)
    assert (by_key["latest"].density, by_key["latest"].window) == (0.5, 16)
    limited = compare(language_model, TEXT, Latest(), thresholds={"latest": 30.0}, window=16)
    assert (limited.methods[0].threshold, limited.methods[0].density) == (30.0, None)


@pytest.mark.parametrize("kind", ["model", "folder"])
def test_models_of_every_kind(language_model, model_folder, kind):
    model = {"model": language_model.model, "folder": model_folder}[kind]
    ids = language_model.tokenizer.encode(TEXT)
    comparison = compare(model, torch.tensor(ids, dtype=torch.int32), "streaming_llm", window=16)
    assert comparison.methods == compare(language_model, TEXT, "streaming_llm", window=16).methods


def test_texts_are_cut_before_their_length_is_judged(language_model):
    long = [5, 6, 7] * 100
    with pytest.raises(InputError, match=r"text of texts\[1\] has 300 tokens, .* 256 positions; max_length=256 would"):
        compare(language_model, [TEXT, long], "random")
    comparison = compare(language_model, [TEXT, "a", long], "random", max_length=40, window=16)
    assert [sample.n_tokens for sample in comparison.samples] == [40] * 6
    assert comparison["configuration"]["skipped_lines"] == [2]


@pytest.mark.parametrize(
    ("methods", "options", "message"),
    [
        (Latest, {}, "got the class Latest; make an instance"),
        (
            [Latest(), 3],
            {},
            "expected `methods` to be names and instances, got an int; a method of your own derives from Scored, Rec",
        ),
        ("latest", {}, 'unknown method "latest"'),
        ([], {}, 'no method in `methods`; name some, or all of them with methods="all"'),
        (
            Latest(),
            {"thresholds": {"late": 1.0}},
            'names the unknown method "late", did you mean "latest"',
        ),
        ("random", {"chunk_size": 0}, "expected `chunk_size` to be 1 query or more"),
        ("random", {"max_length": 1}, "expected `max_length` to be 2 or more, got 1"),
    ],
)
def test_what_is_refused_is_one_line(language_model, methods, options, message):
    with pytest.raises(InputError, match=message) as caught:
        compare(language_model, TEXT, methods, **options)
    assert "\n" not in str(caught.value)


def test_a_method_without_a_name_is_refused(language_model):
    class Nameless(Scored):
        def score(self, layer):
            return torch.zeros(layer.keys.shape[:2])

    with pytest.raises(InputError, match="`methods` to be a method, but Nameless has no class variable `name`"):
        compare(language_model, TEXT, Nameless())


def test_a_surrogate_that_is_missing_is_left_out_of_all_and_an_error_by_name(language_model):
    comparison = compare(language_model, TEXT[:40], window=8, h2o_local_window_size=16)
    assert [reason.split()[0] for reason in comparison["configuration"]["left_out"]] == ["kvzap", "kvzap_no_sink"]
    with pytest.raises(ModelError, match="surrogate"):
        compare(language_model, TEXT, "kvzap")


@pytest.mark.parametrize("context_length", [None, 40], ids=["half", "40 tokens"])
def test_mode_once_costs_what_evict_says_of_the_tokens_after_the_context(language_model, context_length):
    texts = [TEXT, TEXT[:200], TEXT[:20]]
    comparison = compare(
        language_model, texts, ["h2o", "key_norm"], density=0.25, window=8, mode="once", context_length=context_length
    )
    assert comparison.configuration["mode"] == "once"
    assert comparison.configuration["context_length"] == (context_length or 0.5)
    words = "40 tokens" if context_length else "50% of each text"
    assert comparison.context == words and f"predicted tokens after {words};" in comparison.caption
    # With so many tokens, the last text has none after its context.
    assert comparison.configuration["num_texts"] == (3 if context_length is None else 2)
    for sample in comparison.samples:
        context = context_length or sample.n_tokens // 2
        assert sample.n_predicted == sample.n_tokens - context
        if sample.method.startswith("baseline") or context < 12:
            continue
        eviction = evict(
            language_model,
            texts[sample.sample],
            sample.method,
            density=0.25,
            n_sink=4,
            window=8,
            mode="once",
            context_length=context,
        )
        damage, keep_map = eviction.damage(), eviction.keep_map
        assert (damage.nll, damage.kl) == (
            sample.nll / damage.n,
            sample.kl / damage.n,
        ) and damage.n == sample.n_predicted
        assert sample.footprint == keep_map.footprint() > 0.5
        assert sample.entries.compressible_density() == keep_map.compressible_density(context - 1)
        if sample.sample == 0:
            assert comparison.keep_maps[sample.method] == keep_map
    base = [sample.nll for sample in comparison.samples if sample.method == "baseline"]
    assert base == [sample.nll for sample in comparison.samples if sample.method == "baseline_no_chunking"]


def test_what_the_modes_do_not_take_is_refused(language_model):
    for options, message in (
        ({"mode": "once", "context_length": 1.0}, "a share of each text between 0 and 1, got 1.0"),
        ({"mode": "decode", "context_length": 0.5}, 'mode "decode", got 0.5; mode "once" takes one'),
        ({"mode": "once", "context_length": 10_000}, "fewer than 10001 tokens.*a smaller `context_length`"),
        ({"mode": "chunked"}, "a `chunk_size` of 2 or more"),
    ):
        with pytest.raises(InputError, match=message):
            compare(language_model, TEXT, "random", **options)
