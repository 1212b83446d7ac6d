"""How many modules a config names, and that so many go into memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from keepmap.core.outside.counts import config_counts, require_counts
from keepmap.errors import ModelError


def test_counts_are_numbers_of_modules_alone(tmp_path: Path) -> None:
    require_counts(
        [("max_position_embeddings", 10**15), ("num_hidden_layers", "many"), ("llama.context_length", 10**15)], "m"
    )
    for key in ("n_layer", "num_layers", "num_hidden_layers", "n_routed_experts", "num_experts", "llama.block_count"):
        with pytest.raises(ModelError, match=f'model "m" with {key} 1,000,000,000,000 would take 14.6 PiB'):
            require_counts([(key, 10**12)], "m")
    (tmp_path / "config.json").write_text("no JSON")
    assert config_counts(tmp_path / "config.json", "m") == []
    (tmp_path / "config.json").write_text('{"a": {"n_layer": 3}, "b": [1]}')
    assert ("n_layer", 3) in config_counts(tmp_path / "config.json", "m")


def test_no_torch_is_loaded_for_it() -> None:
    code = "import keepmap.core.outside.counts, sys; print({'torch', 'numpy'} & set(sys.modules))"
    # A worker whose parent is killed cannot end before it has this.
    code += "\nimport keepmap.core.processes\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\nFalse\n"


AT_ONCE = """
import json, sys
from pathlib import Path
from keepmap.cli import main
Path("agent").mkdir()
Path("agent", "checkpoint.json").write_text(json.dumps({"config": {"tf_n_embd": 10**6}}))
print([main(words.split()) for words in (
    "train --set tf_n_layer=1000000000", "train --set tf_n_embd=1000000", "evaluate --checkpoint agent",
    "attention --checkpoint agent", "study --checkpoint agent",
)], "torch" in sys.modules)
"""


def test_giant_agents_are_refused_before_torch_is_loaded(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[2, 2, 2, 2, 2] False\n", done.stderr
    assert done.stderr.count("\n") == 5 and done.stderr.count("would take") == 5


def test_widths_are_those_of_matrices_and_numbers_are_finite() -> None:
    require_counts([("hidden_size", 576), ("input_dim", 576), ("rms_norm_eps", 1e-5)], "m")
    with pytest.raises(ModelError, match=r'model "m" with hidden_size 1,000,000 would take 3.64 TiB'):
        require_counts([("hidden_size", 10**6)], "m")
    with pytest.raises(ModelError, match=r'model "m" with input_dim 1,000,000,000,000 would take 3.64 TiB'):
        require_counts([("input_dim", 10**12)], "m")
    for key in ("intermediate_size", "vocab_size", "tf_n_inner", "head_dim", "hidden_dim"):
        with pytest.raises(ModelError, match=f'model "m" with {key} 1,000,000,000,000 would take 3.64 TiB'):
            require_counts([(key, 10**12)], "m")
    for key, value in (("tf_n_embd", 10**6), ("tf_n_layer", 10**9)):
        with pytest.raises(ModelError, match=f'model "m" with {key} {value:,} would take'):
            require_counts([(key, value)], "m")
    for value in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ModelError, match='expected the rms_norm_eps of model "m" to be a finite number'):
            require_counts([("rms_norm_eps", value)], "m")
