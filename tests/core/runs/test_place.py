"""Where a run goes for which no folder is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.place import folder_for, require_place
from keepmap.errors import InputError


def run(density: float) -> Identity:
    return Identity(verb="compare", options={"density": density}, versions={}, hashes={})


def test_each_run_has_the_folder_that_it_began_in(tmp_path: Path) -> None:
    usual = tmp_path / "deep" / "out"
    begun = []
    for density in (0.1, 0.2, 0.3):
        folder = folder_for(usual, run(density))
        with RunFolder(folder, run(density), overwrite=False) as place:
            place.begin([], [])
        begun.append(folder)
    assert [folder.name for folder in begun] == ["out", "out-2", "out-3"]
    assert [folder_for(usual, run(density)) for density in (0.3, 0.2, 0.1)] == begun[::-1]
    (usual / "run.json").unlink()
    assert folder_for(usual, run(0.2)) == begun[1], "what is free comes after what holds the run"
    assert folder_for(usual, run(0.4)) == usual


def test_what_somebody_else_has_is_not_free(tmp_path: Path) -> None:
    usual = tmp_path / "out"
    assert folder_for(usual, run(0.1)) == usual
    (usual / "below").mkdir(parents=True)
    (usual / ".lock").touch()
    assert folder_for(usual, run(0.1)) == usual
    (usual / "mine.txt").touch()
    (tmp_path / "out-2").touch()
    (tmp_path / "out-x").mkdir()
    assert folder_for(usual, run(0.1)).name == "out-3"


def test_what_is_known_of_a_run_is_enough_to_refuse_a_folder(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "out", run(0.2).with_hashes(data="ab"), overwrite=False) as place:
        place.begin([], [])
    nothing = Identity(verb="compare", options={}, versions={}, hashes={})
    for known in (nothing, run(0.2), run(0.2).with_hashes(data="ab", model="cd")):
        require_place(tmp_path / "out", known, (), overwrite=False)
    require_place(tmp_path / "out", run(0.3), (), overwrite=True)
    for known, difference in (
        (run(0.3), "`density` is 0.2 there and 0.3 here"),
        (nothing.with_hashes(data="cd"), "the data has changed"),
        (replace(nothing, verb="evaluate"), "it is of `keepmap compare`"),
    ):
        with pytest.raises(InputError, match=f"holds another run: {difference}; give `overwrite`"):
            require_place(tmp_path / "out", known, (), overwrite=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.json").touch()
    with pytest.raises(InputError, match="mine holds a.json, and no run of keepmap's"):
        require_place(tmp_path / "mine", nothing, ["a.json"], overwrite=False)
