"""A comparison that was written is read back equal; what is damaged or foreign is one line."""

import json
import shutil
from collections.abc import Callable

import pytest
import torch

from keepmap.core.keep_map import KeepMap
from keepmap.drawing.page.arrays import Arrays
from keepmap.drawing.page.content import ReportedRun, run_document
from keepmap.errors import InputError
from keepmap.kv.comparison.files import keep_map_path
from keepmap.kv.comparison.reading import read_comparison
from keepmap.kv.comparison.results import Comparison
from keepmap.kv.comparison.run import Run
from tests.kv.comparison.jobs import job, place


@pytest.fixture(scope="module")
def written(model_folder, tmp_path_factory) -> Run:
    """A run of three methods whose files are written."""
    folder = tmp_path_factory.mktemp("written")
    (folder / "data.jsonl").write_text('{"text": "the quick brown fox"}\n{"text": "and the lazy dog jumps over"}\n')
    methods = "streaming_llm random_validation random"
    run = Run(job(model_folder, folder / "data.jsonl", folder / "out", methods), ["cpu"], place(folder / "out"))
    list(run.events())
    comparison = run.comparison()
    assert comparison is not None
    run.write(comparison)
    return run


def comparison_of(run: Run) -> Comparison:
    comparison = run.comparison()
    assert comparison is not None
    return comparison


def test_folder_and_file_give_the_comparison_with_its_keep_maps(written):
    expected, folder = comparison_of(written), written.job.output_dir
    for path in (folder, str(folder), folder / "detailed_results.json"):
        comparison = read_comparison(path)
        assert comparison == expected and repr(comparison) == repr(expected)
        assert dict(comparison.keep_maps) == dict(expected.keep_maps) and len(comparison.keep_maps) == 3
        assert comparison.validated == 2 and comparison.methods[0].avg_nll <= comparison.methods[-1].avg_nll


def test_a_keep_map_of_another_run_is_refused_and_one_that_is_gone_is_missed(written, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(written.job.output_dir, folder)
    path = keep_map_path(folder, next(row.method for row in written.comparison().methods if row.method_key == "random"))
    own = KeepMap.load(path)
    more = torch.cat([own.expires, own.expires[..., -1:] + 1], dim=2)
    KeepMap(more, torch.zeros(more.shape), n_sink=own.n_sink, window=own.window).save(path, overwrite=True)
    comparison = read_comparison(folder)
    with pytest.raises(InputError, match=r"not of this run: it does not keep as much as random kept of .* again$"):
        _ = comparison.keep_maps["random"]
    path.unlink()
    assert "random" not in comparison.keep_maps and len(comparison.keep_maps) == 2
    document, _ = run_document(ReportedRun(value=comparison), Arrays(), (), False)
    assert [warning for warning in document["warnings"] if "KeepMap" in warning] == [
        "Random: its KeepMap is not there, and no view of entries shows what was kept."
    ]


def damaged(change: Callable[[dict], object]) -> Callable[[dict], str]:
    def damage(document: dict) -> str:
        change(document)
        return json.dumps(document)

    return damage


def with_footprint(value: str) -> Callable[[dict], str]:
    return lambda document: json.dumps(document).replace('"footprint": 1.0', f'"footprint": {value}')


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda document: "", "Expecting value"),
        (lambda document: json.dumps(document)[:900], ""),
        (lambda document: "[1, 2]", ""),
        (lambda document: "{}", "it has no 'configuration'"),
        (lambda document: "[" * 100_000, ""),
        (
            lambda document: json.dumps(document).replace('"footprint": 1.0', '"footprint": NaN'),
            "NaN, which is not",
        ),
        (
            lambda document: json.dumps(document).replace('"footprint": 1.0', '"footprint": 1e999'),
            "print is not finite",
        ),
        (damaged(lambda document: document.update(complete="yes")), "complete is of type str"),
        (damaged(lambda document: document.update(validation={})), "it has no 'streaming_llm_equals"),
        (damaged(lambda document: document.update(more=1)), "its parts do not agree"),
        (damaged(lambda document: document["comparison"].pop()), "its parts do not agree"),
        (
            damaged(lambda document: document["methods"].pop("random")),
            "got baseline_no_chunking, base",
        ),
        (
            damaged(lambda document: document["methods"].pop("baseline")),
            "expected the methods baseline",
        ),
        (damaged(lambda document: document["configuration"].update(methods=[["a"]])), ""),
        (damaged(lambda document: document["methods"]["random"].update(kl=True)), "kl is of type bool"),
        (damaged(lambda document: document["methods"]["random"].update(n_samples=1)), "2 samples and a row of 1"),
        (damaged(lambda document: document["methods"]["random"].update(method="\x1b[2J")), "not printable"),
        (damaged(lambda document: document["methods"]["random"].update(density_overall=-4.36)), r"lie in \[0, 1\]"),
        (damaged(lambda document: document["methods"]["random"]["samples"].reverse()), "not those of the baseline"),
        (
            damaged(lambda document: document["methods"]["random"]["samples"][0]["entries"].update(n_kept=10**9)),
            "more was kept than there is",
        ),
        (
            damaged(lambda document: document["methods"]["random"]["samples"][0].update(entries=3)),
            "fields of a KeptCounts",
        ),
    ],
)
def test_what_is_damaged_is_one_line(written, tmp_path, content, message):
    document = json.loads((written.job.output_dir / "detailed_results.json").read_text())
    del document["checksum"]
    (tmp_path / "detailed_results.json").write_text(content(document))
    with pytest.raises(InputError, match=f"is not a comparison, or is damaged: .*{message}") as caught:
        read_comparison(tmp_path)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no comparison at .*detailed_results.json: no such file; give an output"):
        read_comparison(tmp_path)


def test_a_keep_map_that_is_gone_is_not_listed(written):
    comparison = read_comparison(written.job.output_dir)
    (written.job.output_dir / "Random_keepmap.safetensors").unlink()
    assert "random" not in list(comparison.keep_maps) and len(comparison.keep_maps) == 2
