"""What keepmap did not write is not written over, unless one says so; its own files of the same kind are."""

import json
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

import keepmap
from keepmap.cli import main
from keepmap.core.keep_map import KeepMap
from keepmap.core.storage.own import ENDS, begins_with, holds
from keepmap.core.storage.tensors import is_labelled
from keepmap.errors import OutputError
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig

KEEP_MAP = KeepMap(torch.tensor([[[4, 2, 4, 4]]]), torch.zeros(1, 1, 4))
DAMAGE = keepmap.compare("tiny", "The code of river is 4821. " * 9, "streaming_llm", window=16)
WRITERS = {
    "map.safetensors": lambda path, **options: KEEP_MAP.save(path, **options),
    "table.csv": lambda path, **options: DAMAGE.to_csv(path, **options),
    "table.tex": lambda path, **options: DAMAGE.to_latex(path, **options),
    **{
        f"figure.{name}": lambda path, name=name, **options: keepmap.draw.save_figure(
            Figure().add_subplot(), path.parent, "figure", name, **options
        )
        for name in ("png", "svg", "pdf")
    },
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_the_same_kind_is_written_over_and_another_is_not(tmp_path, name):
    path, write = tmp_path / name, WRITERS[name]
    path.touch()  # an empty file is nothing to lose
    write(path)
    content = path.read_bytes()
    write(path)
    assert path.read_bytes() == content
    path.write_text("the user's own: keepmap\n")
    with pytest.raises(OutputError, match="is there and is not .*; give another name, or overwrite=True to write over"):
        write(path)
    assert path.read_text() == "the user's own: keepmap\n" and [*tmp_path.iterdir()] == [path]
    write(path, overwrite=True)
    assert path.read_bytes() == content


def test_through_a_link_as_without(tmp_path):
    (tmp_path / "own").write_text("the user's own")
    (tmp_path / "map").symlink_to(tmp_path / "own")
    with pytest.raises(OutputError, match="map is there and is not a KeepMap"):
        KEEP_MAP.save(tmp_path / "map")
    KEEP_MAP.save(tmp_path / "map", overwrite=True)
    assert (tmp_path / "map").is_symlink() and KeepMap.load(tmp_path / "own") == KEEP_MAP


def test_a_profile_is_not_written_over_a_keep_map(tmp_path):
    KEEP_MAP.save(tmp_path / "file")
    profile = keepmap.profile_attention("tiny", [1, 2, 3], layers=[0])
    with pytest.raises(OutputError, match="is there and is not an AttentionProfile"):
        profile.save(tmp_path / "file")
    profile.save(tmp_path / "file", overwrite=True)
    profile.save(tmp_path / "file")
    assert is_labelled(tmp_path / "file", "keepmap-attention/9") and not is_labelled(tmp_path / "file", "keepmap/1")


def test_a_surrogate_is_not_written_over_a_language_model(tmp_path):
    surrogate = KVzapSurrogate(SurrogateConfig(input_dim=3, output_dim=2, n_modules=1))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(OutputError, match="config.json is there and is not of a KVzap surrogate"):
        surrogate.save(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(OutputError, match="model.safetensors is there and is not of a KVzap surrogate"):
        surrogate.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    surrogate.save(tmp_path, overwrite=True)
    surrogate.save(tmp_path)


COLLECT = ("collect", "--size", "3", "--learners", "2", "--episodes", "4")


@pytest.mark.parametrize("words", [("sample-data", "--n_samples", "1"), COLLECT], ids=lambda words: words[0])
def test_a_verb_asks_for_overwrite_before_it_works(tmp_path, monkeypatch, capfd, words):
    monkeypatch.chdir(tmp_path)
    path = Path("file")
    assert main([*words, "--out", "file"]) == 0
    content = path.read_bytes()
    assert main([*words, "--out", "file"]) == 0 and path.read_bytes() == content
    path.write_text("the user's own")
    capfd.readouterr()
    assert main([*words, "--out", "file"]) == 2
    output, error = capfd.readouterr()
    assert output == "" and error.startswith("error: file is there and is not ")
    assert error.endswith("; give another name, or --overwrite to write over it\n")
    assert path.read_text() == "the user's own"
    assert main([*words, "--out", "file", "--overwrite"]) == 0 and path.read_bytes() == content


def test_a_mark_is_looked_for_at_both_ends(tmp_path):
    path = tmp_path / "file"
    for content, own in (
        (b"%PDF mark", True),
        (b"%PDF" + b" " * ENDS * 3 + b"mark", True),
        (b"%PDF" + b" " * ENDS + b"mark" + b" " * ENDS, False),
        (b"mark", False),
        (b"", False),
    ):
        path.write_bytes(content)
        assert holds(b"%PDF", b"mark")(path) is own
        assert begins_with(b"%PDF")(path) is content.startswith(b"%PDF")
