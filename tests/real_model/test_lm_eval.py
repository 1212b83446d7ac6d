"""lm-evaluation-harness inside a block, on SmolLM2: what it says there is what keepmap itself says.

Run where `KEEPMAP_LM_EVAL_PYTHON` names a Python that has it, keepmap's dependencies and SmolLM2; else it is skipped.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

COVERS = ("keepmap.kv.cache.evicting",)

PYTHON = os.environ.get("KEEPMAP_LM_EVAL_PYTHON")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="KEEPMAP_LM_EVAL_PYTHON is not set"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("lm_eval") / "results.json"
    side = Path(__file__).with_name("lm_eval_side.py")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([str(PYTHON), str(side), str(out)], check=True, env=environment, timeout=880)
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.parametrize("batch", [1, 2])
def test_log_likelihoods(results: dict[str, Any], batch: int) -> None:
    under, full = ([value for value, _ in results[f"{name} loglikelihood {batch}"]] for name in ("h2o", "full"))
    print(f"lm-eval {results['version']}: full {full}, h2o {under}, of keepmap {results['own loglikelihood']}")
    assert under == pytest.approx(results["own loglikelihood"], rel=1e-4)
    assert all(abs(ours - theirs) > 0.01 for ours, theirs in zip(under, full, strict=True)), "eviction reaches it"


@pytest.mark.parametrize("batch", [1, 2])
def test_answers(results: dict[str, Any], batch: int) -> None:
    under, full = (results[f"{name} generate_until {batch}"] for name in ("h2o", "full"))
    print(f"lm-eval {results['version']}: full {full}, h2o {under}")
    assert under == results["own generate_until"] and under != full
    held, without = results[f"held generate_until {batch}"]
    assert held < 0.6 * without
