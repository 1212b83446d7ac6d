"""`--plugin FILES`: a file of the user's own is all that a method, compressor, source, environment or figure needs."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from keepmap.agents.collection.dataset import open_histories
from keepmap.agents.evaluation.returns import read_evaluation
from keepmap.cli import main
from keepmap.core.joining.plugins import unload_plugins
from tests.forked import python

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
"""
METHOD = f'''{HEAD}
from keepmap.kv.method import Scored

@dataclass(frozen=True)
class ValuePower(Scored):
    """Keeps long values."""
    name: ClassVar[str] = "value_power"
    label: ClassVar[str] = "ValuePower"
    needs: ClassVar[str] = "position"
    density: ClassVar[float | None] = 0.5

    def score(self, layer):
        return layer.values.norm(dim=-1)
'''
COMPRESSOR = f'''{HEAD}
from keepmap.agents.compressor import Compressor

@dataclass(frozen=True)
class First(Compressor):
    """Keeps the first transitions."""
    target_length: int = 4
    name: ClassVar[str] = "mine"

    @property
    def max_length(self):
        return self.target_length

    def kept(self, history):
        return history.valid & (history.valid.cumsum(1) <= self.target_length)
'''
SOURCE = f'''{HEAD}
from keepmap.agents.collection.sources.optimistic import Optimistic

@dataclass(frozen=True)
class Mine(Optimistic):
    """Half of it at random."""
    epsilon: float = 0.5
    name: ClassVar[str] = "mine"
    usual_episodes: ClassVar[int] = 3
'''
ENVIRONMENT = f'''{HEAD}
from keepmap.agents.environments.rooms.dark_room import DarkRoom

@dataclass(frozen=True)
class Closet(DarkRoom):
    """A small dark room."""
    size: int = 3
    horizon: int = 6
    name: ClassVar[str] = "closet"
    gymnasium_id: ClassVar[str] = "mine/Closet-3x3-v0"
'''
FIGURE = """
import keepmap
from matplotlib.figure import Figure

def drawn(text):
    ax = Figure().add_subplot()
    ax.set_title(text)
    return ax

@keepmap.figure(keepmap.KeepMap)
def held(keep_map):
    return drawn(str(keep_map.shape))

@keepmap.figure(keepmap.Comparison)
def costs(comparison):
    return drawn(str(len(comparison.rows)))

@keepmap.figure(keepmap.AttentionProfile)
def looked(profile):
    return drawn(str(profile.shape))

@keepmap.figure(keepmap.Evaluation)
def returns(evaluation):
    return drawn(str(evaluation.goals)).figure
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a plugin of each kind in a folder of its own."""
    (tmp_path / "plugins").mkdir()
    for name, text in (
        ("method", METHOD),
        ("compressor", COMPRESSOR),
        ("source", SOURCE),
        ("room", ENVIRONMENT),
        ("figure", FIGURE),
    ):
        (tmp_path / "plugins" / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def own_process_plugins():
    """Plugins that a test loads into this process are gone after it."""
    yield
    unload_plugins()


def ran(*words: str) -> CompletedProcess[str]:
    return python("-m", "keepmap", *words, cwd=Path())


def keepmap(*words: str) -> str:
    done = ran(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_method_is_compared(place: Path, model_folder: Path, data_file: Path, workers: str) -> None:
    out = keepmap(
        *("compare", "--plugin", "plugins/method.py", "--methods", "value_power", "--data_path", str(data_file)),
        *("--model_name", str(model_folder), "--sliding_window_size", "16", "--max_samples", "2"),
        *("--no_visualize", "--workers", workers),
    )
    assert "Evaluating: ValuePower\n" in out
    rows = json.loads((place / "comparison_results" / "comparison_summary.json").read_text())["comparisons"]
    assert [row["method_key"] for row in rows] == ["value_power"]
    assert rows[0]["density_compressible"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.usefixtures("place", "own_process_plugins")
def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    assert "value_power" not in capsys.readouterr().out
    assert main(["methods", "--plugin", "plugins/method.py"]) == 0
    assert any(line.startswith("value_power ") for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("place", "own_process_plugins")
def test_compressors_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compressors", "--plugin", "plugins/compressor.py", "--n_transit", "20", "--target_length", "6"]) == 0
    assert any(line.startswith("mine ") and "target_length=6" in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.usefixtures("place")
def test_a_compressor_shortens_an_evaluation() -> None:
    keepmap(
        *("evaluate", "--checkpoint", "tiny", "--plugin", "plugins/compressor.py", "--compressor", "mine"),
        *("--set", "target_length=8", "--episodes", "1"),
    )
    evaluation = read_evaluation("evaluation_results/evaluation.json")
    assert evaluation.options["compressor"] == {"name": "mine", "target_length": 8}


def test_a_source_is_collected_from_and_distilled(place: Path) -> None:
    plugin = ("--plugin", "plugins/source.py")
    keepmap("collect", *plugin, "--source", "mine", "--learners", "2", "--size", "3", "--horizon", "6")
    (path,) = (place / "datasets").glob("*.hdf5")
    assert "_mine_" in path.name
    assert open_histories(path).n_steps == 3 * 6
    settings = "alg=mine grid_size=3 horizon=6 max_reward=6 n_transit=8 n_stream=3 train_timesteps=2 log_dir=run"
    sizes = "tf_n_embd=16 tf_n_layer=1 tf_n_head=2 tf_n_inner=16 train_batch_size=4 alg_seed=1"
    out = keepmap("train", *plugin, "--set", *settings.split(), *sizes.split())
    assert "Collecting histories into " in out and "Trained 2 updates" in out
    assert (place / "run" / "ckpt-2" / "checkpoint.json").is_file()


def test_an_environment_is_collected_in_and_evaluated_in(place: Path) -> None:
    plugin = ("--plugin", "plugins/room.py")
    out = keepmap("collect", *plugin, "--environment", "closet", "--learners", "2", "--episodes", "3")
    assert out.startswith("Collecting closet 3x3 with optimistic\n")
    settings = "env=closet grid_size=3 horizon=6 max_reward=6 n_transit=8 n_stream=2 train_timesteps=2 log_dir=run"
    sizes = "tf_n_embd=16 tf_n_layer=1 tf_n_head=2 tf_n_inner=16 train_batch_size=4"
    keepmap("train", *plugin, "--set", *settings.split(), *sizes.split())
    keepmap("evaluate", *plugin, "--checkpoint", "run", "--episodes", "1")
    assert (place / "run" / "evaluation" / "evaluation.json").is_file()


COMPARE = ("compare", "--methods", "streaming_llm", "--sliding_window_size", "16", "--max_samples", "1")


def test_figures_of_a_comparison_are_drawn_beside_the_others(place: Path, model_folder: Path, data_file: Path) -> None:
    rest = ("--plugin", "plugins/figure.py", "--model_name", str(model_folder), "--data_path", str(data_file))
    out = keepmap(*COMPARE, *rest, "--format", "svg")
    folder = place / "comparison_results"
    assert [path.name for path in sorted(folder.glob("*.svg"))] == [
        *("StreamingLLM_compression_heatmap.svg", "StreamingLLM_held.svg", "StreamingLLM_keepmap_layers.svg"),
        "costs.svg",
    ]
    assert f"  Saved figure to: {Path('comparison_results', 'StreamingLLM_held.svg')}\n" in out
    keepmap(*COMPARE, *rest, "--no_visualize")
    assert list(folder.glob("*.svg")) == []


def test_figures_of_profiles_and_of_evaluations(place: Path) -> None:
    plugin = ("--plugin", "plugins/figure.py")
    for options in (["--samples", "2"], ["--samples", "1", "--overwrite"]):
        keepmap("attention", *plugin, "--checkpoint", "tiny", "--layers", "0", *options)
    folder = place / "figs" / "attention"
    assert [path.name for path in folder.glob("looked*")] == ["looked_sample0.png"]
    assert "looked_sample0.png" in json.loads((folder / "attention.json").read_text())["figures"]
    out = keepmap("evaluate", *plugin, "--checkpoint", "tiny", "--episodes", "1")
    assert f"Saved {Path('evaluation_results', 'returns.png')}\n" in out


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_method_that_fails_is_one_line(place: Path, model_folder: Path, data_file: Path, workers: str) -> None:
    bad = "        return layer.values[99999]"
    text = METHOD.replace("        return layer.values.norm(dim=-1)", bad)
    (place / "plugins" / "method.py").write_text(text, encoding="utf-8")
    done = ran(
        *("compare", "--plugin", "plugins/method.py", "--methods", "value_power", "--data_path", str(data_file)),
        *("--model_name", str(model_folder), "--sliding_window_size", "16", "--max_samples", "2"),
        *("--no_visualize", "--workers", workers),
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: the method value_power failed: IndexError: index 99999 is out of bounds")
    assert line.endswith(f"({Path('plugins', 'method.py')}, line {text.splitlines().index(bad) + 1})")
    assert "Stopped" in done.stdout


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return [].shape", "the figure costs failed: AttributeError: 'list' object has no attribute 'shape' (plugins"),
        ("return 3", "the figure costs returned an int; expected Axes or a Figure"),
    ],
)
def test_a_figure_that_fails_is_one_line(
    place: Path, model_folder: Path, data_file: Path, body: str, message: str
) -> None:
    text = FIGURE.replace("return drawn(str(len(comparison.rows)))", body)
    (place / "plugins" / "figure.py").write_text(text, encoding="utf-8")
    done = ran(
        *COMPARE,
        *("--plugin", "plugins/figure.py", "--model_name", str(model_folder), "--data_path", str(data_file)),
    )
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


@pytest.mark.usefixtures("place", "own_process_plugins")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot load the plugin plugins/bad.py: no such file; name a Python file"),
        ("def (:\n", "the plugin plugins/bad.py is not Python: invalid syntax (line 1)"),
        ("1 / 0\n", "the plugin plugins/bad.py failed: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)\n", "the plugin plugins/bad.py failed: SystemExit: 3"),
        ("x = 1\n", "the plugin plugins/bad.py defines nothing: expected a class with a `name`"),
        (METHOD.replace('"value_power"', '"h2o"'), 'defines the method "h2o", a name that is taken'),
        # A parameter of the plugin's own is none of the command line's, whatever its name.
        (METHOD.replace('"""Keeps', '"""Keeps').replace("    name", "    seed: int\n    name", 1), "its option `seed`"),
    ],
)
def test_a_bad_file_is_one_line(capfd: pytest.CaptureFixture[str], text: str | None, message: str) -> None:
    if text is not None:
        Path("plugins/bad.py").write_text(text, encoding="utf-8")
    before = sorted(Path().rglob("*"))
    assert main(["collect", "--plugin", "plugins/bad.py", "--learners", "1"]) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert [path for path in sorted(Path().rglob("*")) if "__pycache__" not in path.parts] == before
