"""Run by `test_lm_eval.py` in an environment that has lm-evaluation-harness: its model class inside a block, as JSON.

python lm_eval_side.py OUT
"""

import json
import sys
from pathlib import Path

import lm_eval
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import keepmap
from keepmap.kv.data.prose import prose_documents

OPTIONS = {"density": 0.2, "n_sink": 4, "window": 32}
FACT = "The code of the river is 4821. "
CONTEXTS = [FACT + document[:900] for document in prose_documents(900, 0)[:2]]
CONTEXTS[1] = CONTEXTS[1][:500]  # of another length, so that a batch is padded
ASKED = " The code of the river is"
ANSWERS = (" 4821", " 1177.")
NEW = 8


def requests(kind: str) -> list[Instance]:
    """As tasks of the harness make them."""
    texts = [context + ASKED for context in CONTEXTS]
    if kind == "loglikelihood":
        each = [(text, answer) for text in texts for answer in ANSWERS]
    else:
        each = [(text, {"until": ["never said"], "max_gen_toks": NEW, "do_sample": False}) for text in texts]
    return [Instance(request_type=kind, doc={}, arguments=arguments, idx=at) for at, arguments in enumerate(each)]


def main() -> None:
    """What the harness says under eviction and without, in batches of one and of two, and what keepmap says itself."""
    language_model = keepmap.load_language_model("smollm2", device="cpu", dtype="float32")
    model, tokenizer = language_model.model, language_model.tokenizer
    results: dict[str, object] = {"version": lm_eval.__version__}
    for size in (1, 2):
        harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=size)
        for kind in ("loglikelihood", "generate_until"):
            run = getattr(harness, kind)
            results[f"full {kind} {size}"] = run(requests(kind), disable_tqdm=True)
            with keepmap.evicting(model, "h2o", **OPTIONS) as block:
                results[f"h2o {kind} {size}"] = run(requests(kind), disable_tqdm=True)
            results[f"held {kind} {size}"] = [block.report().nbytes, block.report().full_nbytes]
    scored, answers = [], []
    for text in (context + ASKED for context in CONTEXTS):
        question = tokenizer(text, return_tensors="pt").input_ids[0]
        for answer in ANSWERS:
            whole = tokenizer(text + answer, return_tensors="pt").input_ids[0]
            logits = keepmap.evict(model, whole[:-1], "h2o", **OPTIONS).logits[len(question) - 1 :].log_softmax(-1)
            scored.append(float(logits.gather(1, whole[len(question) :, None]).sum()))
        answers.append(keepmap.generate(language_model, question, "h2o", max_new_tokens=NEW, **OPTIONS).text)
    results |= {"own loglikelihood": scored, "own generate_until": answers}
    Path(sys.argv[1]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
