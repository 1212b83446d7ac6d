"""lm-evaluation-harness under eviction: its own model class and loops, unchanged, inside `with keepmap.evicting(...)`.

    pip install 'keepmap[lm-eval]'
    python docs/examples/harness.py --model_name smollm2

Two tasks on a local file of JSON lines, which is written here: documents with a fact in them, and a question about it.
`choice` asks which of four codes is the likeliest (loglikelihood), `answer` lets the model say it (generate_until).
"""

import argparse
import json
import random
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lm_eval
from lm_eval.models.huggingface import HFLM

import keepmap
from keepmap.kv.data.prose import prose_documents

WORDS = ("river", "stone", "garden", "engine", "island", "mirror", "salmon", "temple", "velvet", "walnut")
BASIC = {
    "dataset_path": "json",
    "test_split": "test",
    "doc_to_text": "{{text}}\n\nQuestion: What is the code of {{word}}?\nAnswer: The code of {{word}} is",
}
"""What both tasks are: a document, and a question about it."""


def write_facts(path: Path, n: int, length: int, seed: int) -> None:
    """Documents of so many letters, each with a fact at a place of its own, as JSON lines."""
    rng, lines = random.Random(seed), []
    for number, document in enumerate(prose_documents(length, seed)[:n]):
        codes, word = [str(code) for code in rng.sample(range(1000, 10000), 4)], WORDS[number % len(WORDS)]
        paragraphs = document[:length].split("\n\n")
        paragraphs.insert(rng.randrange(len(paragraphs)), f"The code of {word} is {codes[0]}.")
        order = sorted(codes)
        record = {"text": "\n\n".join(paragraphs), "word": word, "codes": order, "answer": order.index(codes[0])}
        lines.append(json.dumps(record | {"code": codes[0]}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def tasks(path: Path) -> list[dict[str, Any]]:
    """Both tasks, as the harness is told of them."""
    data = {"dataset_kwargs": {"data_files": {"test": str(path)}}}
    choice = {"task": "choice", "output_type": "multiple_choice", "doc_to_choice": "codes", "doc_to_target": "answer"}
    answer = {
        "task": "answer",
        "output_type": "generate_until",
        "doc_to_target": "{{code}}",
        "generation_kwargs": {"until": [".", "\n"], "max_gen_toks": 8, "do_sample": False},
        "metric_list": [{"metric": "exact_match", "ignore_punctuation": True}],
        "filter_list": [{"name": "strip", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}],
    }
    return [BASIC | data | choice, BASIC | data | answer]


def main() -> None:
    """Evaluate the full cache and a method, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model_name", default="smollm2")
    parser.add_argument("--n", type=int, default=10, help="documents")
    parser.add_argument("--length", type=int, default=3000, help="letters of each")
    parser.add_argument("--method", default="h2o")
    parser.add_argument("--density", type=float, default=0.2)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=1)
    options = parser.parse_args()
    language_model = keepmap.load_language_model(options.model_name)
    harness = HFLM(pretrained=language_model.model, tokenizer=language_model.tokenizer, batch_size=options.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "facts.jsonl")
        write_facts(path, options.n, options.length, seed=0)
        for method in ("the full cache", options.method):
            evicting = (
                keepmap.evicting(language_model, method, density=options.density, n_sink=4, window=options.window)
                if method != "the full cache"
                else nullcontext()
            )
            with evicting as run:
                results = lm_eval.simple_evaluate(harness, tasks=tasks(path), bootstrap_iters=0, verbosity="ERROR")
            choice, answer = (results["results"][task] for task in ("choice", "answer"))
            print(f"{method:14}  choice {choice['acc,none']:.2f}  answer {answer['exact_match,strip']:.2f}", flush=True)
            if run is not None:
                print(f"{'':14}  the last call: {run.report()}", flush=True)


if __name__ == "__main__":
    main()
