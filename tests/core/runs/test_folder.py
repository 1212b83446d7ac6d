"""A folder holds one run: the same one goes on, another one is refused, and only what a run made is ever removed."""

import json
from pathlib import Path

import pytest

from keepmap.core.runs.command import typing
from keepmap.core.runs.folder import RUN_FILE, RunFolder, read_run_file
from keepmap.core.runs.identity import Identity
from keepmap.core.runs.listing import runs_under
from keepmap.core.runs.reading import read_run
from keepmap.core.runs.records import read_record, write_record
from keepmap.errors import InputError, OutputError

UNITS, FILES = ["units/a.json", "units/b.json"], ["study.csv", "timings.json"]
CONTENTS = dict(zip(FILES, ("compressor,percent\n", '{"seconds": 0.2}'), strict=True))


def run(folder: Path, density: float = 0.2, *, overwrite: bool = False) -> RunFolder:
    identity = Identity(verb="compare", options={"density": density}, versions={"keepmap": "1"}, hashes={"data": "ab"})
    return RunFolder(folder, identity, overwrite=overwrite)


def done(folder: Path, density: float = 0.2, *, overwrite: bool = False, units: int = 2) -> RunFolder:
    """A run that has written some of its units and, where these are all of them, its files."""
    with run(folder, density, overwrite=overwrite) as place, typing(["keepmap", "compare", "--density", str(density)]):
        place.check()
        place.begin(UNITS, FILES, model="cd")
        (folder / "units").mkdir(exist_ok=True)
        for name in UNITS[:units]:
            write_record(folder / name, place.run, {"density": density})
        if units == len(UNITS):
            for name, content in CONTENTS.items():
                (folder / name).write_text(content)
            place.finish()
    return place


def test_the_same_run_goes_on_and_says_what_it_was(tmp_path: Path) -> None:
    first = done(tmp_path / "out", units=1)
    assert (first.goes_on, first.was_finished) == (False, False)
    file = read_run_file(tmp_path / "out")
    assert file is not None and (file.finished, file.command) == (False, ("keepmap", "compare", "--density", "0.2"))
    assert (file.units, file.files, file.run) == (tuple(UNITS), tuple(FILES), first.run)
    second = done(tmp_path / "out")
    assert (second.goes_on, second.was_finished, second.run) == (True, False, first.run)
    third = done(tmp_path / "out", overwrite=True)
    assert (third.goes_on, third.was_finished) == (True, True)


def test_another_run_is_refused_in_one_line_before_anything(tmp_path: Path) -> None:
    done(tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    message = f"{tmp_path / 'out'} holds another run: `density` is 0.2 there and 0.5 here; give `overwrite` to replace"
    for refused in (run(tmp_path / "out", 0.5).check, lambda: run(tmp_path / "out", 0.5).begin(UNITS, FILES)):
        with pytest.raises(InputError) as error:
            refused()
        assert str(error.value) == f"{message} it, or another `output_dir`"
    with run(tmp_path / "out") as place, pytest.raises(InputError, match="the model has changed"):
        place.begin(UNITS, FILES, model="other")
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before


def test_overwrite_removes_what_that_run_made_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done(out)
    theirs = {"notes.txt": "mine", "units/c.json": "{}", "map.png": "mine"}
    for name, content in theirs.items():
        (out / name).write_text(content)
    write_record(out / UNITS[0], "another", {"density": 7})
    with run(out, 0.5, overwrite=True) as place:
        place.check()
        place.begin(UNITS, FILES, model="cd")
        assert not place.goes_on
        left = {path.relative_to(out).as_posix() for path in out.rglob("*.*")} - {".lock", RUN_FILE}
        assert left == {*theirs, UNITS[0]}
        assert {name: (out / name).read_text() for name in theirs} == theirs


def test_files_of_an_earlier_start_that_are_none_of_the_new_ones_go(tmp_path: Path) -> None:
    done(tmp_path)
    with run(tmp_path) as place:
        place.begin(UNITS, FILES[:1], model="cd")
        assert place.was_finished
    assert not (tmp_path / FILES[1]).exists() and (tmp_path / FILES[0]).exists()
    assert read_record(tmp_path / UNITS[0]) == {"density": 0.2}


@pytest.mark.parametrize("name", [FILES[0], UNITS[1], RUN_FILE])
def test_files_that_no_run_made_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / name).write_text("mine")
    whose = "which is damaged or not keepmap's" if name == RUN_FILE else "and no run of keepmap's that made it"
    with pytest.raises(InputError, match=f"holds {name}, {whose}; give `overwrite`"):
        done(tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    with run(tmp_path, overwrite=True) as place:
        place.begin(UNITS, FILES, model="cd")
        assert (tmp_path / name).exists() == (name not in FILES)
    done(tmp_path)


def numbered(
    folder: Path, density: float = 0.2, *, overwrite: bool = False, patterns=("ckpt-[0-9]*/log.jsonl",)
) -> RunFolder:
    """A run that has made files under names that nobody knew before."""
    identity = Identity(verb="train", options={"density": density}, versions={}, hashes={})
    place = RunFolder(folder, identity, overwrite=overwrite, patterns=patterns, steps=9)
    with place:
        place.begin([], ["index.jsonl"], data="ab")
    return place


def test_files_under_numbers_go_with_their_run_and_so_do_folders_that_are_empty_then(tmp_path: Path) -> None:
    numbered(tmp_path)
    for name in ("ckpt-1/log.jsonl", "ckpt-22/log.jsonl", "ckpt-22/mine", "ckpt-mine/log.jsonl", "index.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    numbered(tmp_path, patterns=())
    file = read_run_file(tmp_path)
    assert file is not None and (file.steps, file.patterns) == (9, ("ckpt-[0-9]*/log.jsonl",)), (
        "they are of this run still"
    )
    assert (tmp_path / "ckpt-1/log.jsonl").exists()
    numbered(tmp_path, 0.5, overwrite=True, patterns=())
    assert not (tmp_path / "ckpt-1").exists()
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"ckpt-22/mine", "ckpt-mine/log.jsonl", ".lock", RUN_FILE}


@pytest.mark.parametrize("pattern", ["/etc/host*", "../mine*", "", "link/*", "**/../mine*"])
def test_a_pattern_that_leads_out_of_the_folder_removes_nothing_there(tmp_path: Path, pattern: str) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.txt"
    mine.write_text("mine")
    numbered(out, patterns=(pattern,))
    (out / "link").symlink_to(tmp_path)
    numbered(out, 0.5, overwrite=True)
    assert mine.read_text() == "mine" and (out / "link").is_symlink()


def test_a_folder_from_before_there_were_run_files_is_adopted_or_refused(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("ours")
    for overwrite in (False, True):
        with run(tmp_path, overwrite=overwrite) as place:
            place.adopt()
            place.begin(UNITS, FILES)
            assert place.goes_on and not place.was_finished
        assert all((tmp_path / name).read_text() == "ours" for name in FILES)
        (tmp_path / RUN_FILE).unlink()
    (tmp_path / "ckpt-3").mkdir()
    (tmp_path / "ckpt-3" / "log.jsonl").touch()
    numbered(tmp_path)
    assert (tmp_path / "ckpt-3" / "log.jsonl").exists()
    (tmp_path / RUN_FILE).unlink()
    numbered(tmp_path, overwrite=True)
    assert not (tmp_path / "ckpt-3").exists()


def test_what_is_not_known_today_is_known_from_before_and_old_files_stay_until_the_end(tmp_path: Path) -> None:
    done(tmp_path)
    with run(tmp_path) as place:
        place.begin(UNITS, [*FILES, "new.txt"])
        assert place.identity.hashes == {"data": "ab", "model": "cd"}
        assert (tmp_path / FILES[1]).exists()
        place.finish([FILES[0], "new.txt"])
    file = read_run_file(tmp_path)
    assert file is not None and file.finished and file.files == (FILES[0], "new.txt")
    assert (tmp_path / FILES[0]).exists() and not (tmp_path / FILES[1]).exists()


def test_what_a_killed_process_left_beside_a_unit_goes(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    for name in (".a.json.4194304.part", "a.json.part"):
        (tmp_path / "units" / name).touch()
    done(tmp_path, units=0)
    assert [path.name for path in (tmp_path / "units").iterdir()] == ["a.json.part"]


def test_a_second_process_is_told(tmp_path: Path) -> None:
    with run(tmp_path) as place:
        place.begin(UNITS, FILES)
        for refused in (run(tmp_path).check, lambda: run(tmp_path).begin(UNITS, FILES)):
            with pytest.raises(InputError, match="another `keepmap compare` is going on in"):
                refused()
    run(tmp_path).check()


def test_a_run_file_that_names_files_elsewhere_removes_none_of_them(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "mine.txt"
    done(out)
    elsewhere.write_text("mine")
    file = read_run_file(out)
    assert file is not None
    document = file.document() | {"files": ["../mine.txt", str(elsewhere), "."]}
    write_record(out / RUN_FILE, file.run, document)
    with run(out, 0.5, overwrite=True) as place:
        place.begin(UNITS, FILES, model="cd")
    assert elsewhere.read_text() == "mine"


@pytest.mark.parametrize("change", [{"units": 3}, {"format": "x"}, {"files": [1]}, {"options": 1}, {"id": None}])
def test_a_run_file_of_another_form_is_none(tmp_path: Path, change: dict) -> None:
    done(tmp_path)
    file = read_run_file(tmp_path)
    assert file is not None
    write_record(tmp_path / RUN_FILE, file.run, file.document() | change)
    read = read_run_file(tmp_path)
    assert read is None or (change == {"id": None} and read.run == "None")
    (tmp_path / RUN_FILE).write_text(json.dumps(file.document()))
    assert read_run_file(tmp_path) is None


@pytest.mark.parametrize("name", ["run.json", "timings.json", "units", "units/a.json"])
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("dangles", [False, True])
def test_nothing_is_written_through_a_link(tmp_path: Path, name: str, overwrite: bool, dangles: bool) -> None:
    folder, target = tmp_path / "out", tmp_path / "mine"
    done(folder)
    (folder / name).rename(tmp_path / "gone" if dangles else target)
    (folder / name).symlink_to(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for work in (lambda place: place.check([*FILES, *UNITS]), lambda place: place.begin(UNITS, FILES)):
        with run(folder, overwrite=overwrite) as place, pytest.raises(InputError, match=f"{name} is a symbolic link"):
            work(place)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after == {path: content for path, content in before.items() if path.name != ".lock"}


def test_a_run_file_that_is_a_link_tells_of_no_run(tmp_path: Path) -> None:
    done(tmp_path / "theirs")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / RUN_FILE).symlink_to(tmp_path / "theirs" / RUN_FILE)
    assert read_run_file(tmp_path / "mine") is None
    assert [state.folder.name for state in runs_under(tmp_path)] == ["theirs"]
    with pytest.raises(InputError, match=r"no run at .*mine: its run.json is a symbolic link; `keepmap runs` lists"):
        read_run(tmp_path / "mine")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("finished", [False, True])
def test_what_keepmap_has_not_made_stays_whatever_the_run_file_says(tmp_path: Path, name: str, finished: bool) -> None:
    done(tmp_path, units=2 if finished else 1)
    (tmp_path / name).write_text("mine")
    message = f"{name} is damaged or not keepmap's; give `overwrite` to replace that one file, or another `output_dir`"
    for work in (
        lambda place: place.check(FILES),
        lambda place: place.begin([*UNITS, "whole.json"], FILES, model="cd"),
    ):
        with run(tmp_path) as place, pytest.raises(InputError, match=message):
            work(place)
    assert (tmp_path / name).read_text() == "mine"
    with run(tmp_path, overwrite=True) as place:
        place.check(FILES)
        place.begin(UNITS, FILES, model="cd")
        assert place.goes_on and not place.was_finished and not (tmp_path / name).exists()
        assert read_record(tmp_path / UNITS[0]) == {"density": 0.2}


def test_what_lies_beside_the_record_of_a_unit_is_done_again_with_it(tmp_path: Path) -> None:
    done(tmp_path, units=1)
    (tmp_path / "units" / "a.png").write_text("damaged")
    with run(tmp_path) as place:
        place.begin(UNITS, [*FILES, "units/a.png"], model="cd")
        assert place.goes_on


@pytest.mark.parametrize("left", [b"", bytes(4096)])
def test_what_a_machine_that_went_down_leaves_of_a_file_is_written_again(tmp_path: Path, left: bytes) -> None:
    done(tmp_path)
    (tmp_path / FILES[1]).write_bytes(left)
    run(tmp_path).check(FILES)
    done(tmp_path)
    assert (tmp_path / FILES[1]).read_text() == CONTENTS[FILES[1]]


def test_a_unit_that_is_known_late_is_no_link_either(tmp_path: Path) -> None:
    with run(tmp_path / "out") as place:
        place.begin([], [])
        (tmp_path / "out" / "units").symlink_to(tmp_path)
        with pytest.raises(InputError, match="units is a symbolic link"):
            place.add_units(UNITS)


def test_a_folder_is_refused_for_somebody_elses_files_before_any_work(tmp_path: Path) -> None:
    (tmp_path / FILES[0]).write_text("mine")
    run(tmp_path).check()
    with pytest.raises(InputError, match=f"holds {FILES[0]}, and no run of keepmap's that made it; give `overwrite`"):
        run(tmp_path).check(FILES)
    run(tmp_path, overwrite=True).check(FILES)
    with pytest.raises(OutputError, match="study.csv is a file, not a folder; name another with `output_dir`$"):
        run(tmp_path / FILES[0]).check()
    done(tmp_path, overwrite=True)
    run(tmp_path).check(FILES)


def test_what_is_noted_of_the_steps_stays_until_all_are_done(tmp_path: Path) -> None:
    identity = Identity(verb="train-surrogate", options={}, versions={}, hashes={})
    for noted in (3, 5):
        with RunFolder(tmp_path, identity, overwrite=False, steps=9) as place:
            place.begin([], [])
            if noted == 3:
                assert runs_under(tmp_path)[0].state == "going on, 0 of 9"
                place.note(noted)
        assert runs_under(tmp_path)[0].state == "stopped at 3 of 9"
    with RunFolder(tmp_path, identity, overwrite=False, steps=9) as place:
        place.begin([], [])
        place.finish()
    file = read_run_file(tmp_path)
    assert file is not None and (file.done, file.steps, file.finished) == (9, 9, True)


def test_a_run_file_that_was_edited_is_called_damaged_and_nothing_is_taken_for_its_run(tmp_path: Path) -> None:
    done(tmp_path, units=1)
    path = tmp_path / RUN_FILE
    path.write_text(path.read_text().replace("0.2", "0.3"))
    for density in (0.2, 0.3):
        with pytest.raises(InputError, match=r"holds run.json, which is damaged or not keepmap's; give `overwrite`"):
            run(tmp_path, density).check()


@pytest.mark.parametrize("density", [0.2, 0.5])
def test_a_run_file_that_names_what_keepmap_did_not_make_removes_none_of_it(tmp_path: Path, density: float) -> None:
    done(tmp_path)
    for name in ("notes.txt", "data.json", "photo.png", "samples/model.safetensors", "report.html", "deep/er/timings"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text('{"mine": 1}')
    (tmp_path / "link.csv").symlink_to(tmp_path / "notes.txt")
    (tmp_path / "study.md").symlink_to(tmp_path / "notes.txt")
    mine = {path: path.is_symlink() for path in tmp_path.rglob("*") if path.is_file() and '"mine"' in path.read_text()}
    file = read_run_file(tmp_path)
    assert file is not None and len(mine) == 8
    names = [path.relative_to(tmp_path).as_posix() for path in mine]
    write_record(tmp_path / RUN_FILE, file.run, file.document() | {"files": names, "patterns": ["*", "*/*", "*/*/*"]})
    with run(tmp_path, density, overwrite=density != 0.2) as place:
        place.begin(UNITS, FILES, model="cd")
        assert place.goes_on == (density == 0.2)
    assert {path: path.is_symlink() for path in mine if path.is_file()} == mine


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "", ".", "a/../b", "a\0", "a" * 256])
def test_a_run_file_with_names_that_no_run_has_is_none(tmp_path: Path, name: str) -> None:
    done(tmp_path)
    file = read_run_file(tmp_path)
    assert file is not None
    for key in ("units", "files", "patterns"):
        write_record(tmp_path / RUN_FILE, file.run, file.document() | {key: [name]})
        assert read_run_file(tmp_path) is None
    assert runs_under(tmp_path) == ()
