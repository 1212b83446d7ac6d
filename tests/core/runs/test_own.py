"""Files that keepmap has made say so, or have names of their own; links and anybody else's files do not."""

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from keepmap.agents.training.run import BOARD, LOG
from keepmap.commands import asking
from keepmap.commands.studying import families
from keepmap.core.runs.index import INDEX
from keepmap.core.runs.own import has_made, is_name
from keepmap.core.runs.records import write_record
from keepmap.core.storage.documents import write_document
from keepmap.core.storage.tensors import tensors_file
from keepmap.drawing.parts.files import FORMATS, save_figure

UNMARKED = (".csv", ".md", ".txt", ".jsonl", ".npy", ".hdf5")


def test_what_keepmap_writes_is_its_own(tmp_path: Path) -> None:
    write_document(tmp_path / "result.json", {"a": 1})
    write_record(tmp_path / "unit.json", "ab12", {"a": 1})
    (tmp_path / "model.safetensors").write_bytes(tensors_file({"a": torch.zeros(3)}))
    save_figure(Figure().add_subplot(), tmp_path, "figure", FORMATS)
    (tmp_path / "old.json").write_text('{"format": "keepmap-study/1"}')
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 7 and [name for name in names if not has_made(tmp_path, name)] == []


@pytest.mark.parametrize(
    "name",
    [
        *("timings.json", INDEX, LOG, f"runs/recency-75-seed0/{LOG}", BOARD.replace("*", "123.host")),
        *(name for name in (*families.FILES, *asking.FILES) if name.endswith(UNMARKED)),
        *("methods.txt", "attention_layers.txt", "rows/000001.inputs.npy", "blocks/goal-3.hdf5"),
    ],
)
def test_names_that_keepmap_gives_to_files_without_a_mark(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in (b"", bytes(99)):
        path.write_bytes(left)
        assert is_name(name) and has_made(tmp_path, name)
    path.write_text("mine")
    assert has_made(tmp_path, name) == name.startswith("events.out.")


def test_what_it_has_not_made_and_links(tmp_path: Path) -> None:
    contents = {
        "notes.txt": "keepmap",
        "data.json": '{"checksum": "0123456789abcdef"}',
        "list.json": "[]",
        "deep.json": "[" * 99999,
        "photo.png": "keepmap",
        "page.html": "keepmap",
        "model.safetensors": "",
        "rows/mine.npy": "",
        "timings.json": '{"mine": 1}',
        "answers.csv": "mine,task\n",
    }
    (tmp_path / "rows").mkdir()
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "summary.csv").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "behind").symlink_to(tmp_path)
    (tmp_path / "index.jsonl").touch()
    for name in (*contents, "summary.csv", "behind/index.jsonl", "rows/../index.jsonl", "none.json", "rows"):
        assert not has_made(tmp_path, name), name
    assert has_made(tmp_path, "index.jsonl")
