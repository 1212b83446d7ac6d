"""Three programs as their users wrote them, each inside `with keepmap.evicting(...)`: a pipeline, a chat, a streamer.

python docs/examples/programs.py --model_name smollm2
"""

import argparse
from threading import Thread
from typing import Any

from transformers import TextIteratorStreamer, pipeline

import keepmap

TURNS = (
    "My name is Ada, my dog is called Biscuit, and we live in Lisbon. What should we do on a rainy day?",
    "Thank you. And on a sunny day?",
    "What is my dog called?",
)


def with_a_pipeline(model: Any, tokenizer: Any) -> str:
    """`transformers.pipeline("text-generation")`, as its documentation has it."""
    generator = pipeline("text-generation", model=model, tokenizer=tokenizer)
    messages = [{"role": "user", "content": TURNS[0]}]
    answer: str = generator(messages, max_new_tokens=40, do_sample=False)[0]["generated_text"][-1]["content"]
    return answer


def with_a_chat(model: Any, tokenizer: Any) -> list[str]:
    """Three turns with the model's chat template, each of them reading all that was said before."""
    messages: list[dict[str, str]] = []
    for turn in TURNS:
        messages.append({"role": "user", "content": turn})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        messages.append({"role": "assistant", "content": answer})
    return [message["content"] for message in messages if message["role"] == "assistant"]


def with_a_streamer(model: Any, tokenizer: Any) -> str:
    """`TextIteratorStreamer`, with `generate` in a thread of its own."""
    messages = [{"role": "user", "content": TURNS[0]}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    thread = Thread(target=model.generate, kwargs={**inputs, "streamer": streamer, "max_new_tokens": 40})
    thread.start()
    answer = "".join(streamer)
    thread.join()
    return answer


def main() -> None:
    """Run each under eviction, and print what it says and what the cache held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model_name", default="smollm2")
    parser.add_argument("--method", default="h2o")
    parser.add_argument("--density", type=float, default=0.5)
    parser.add_argument("--window", type=int, default=32)
    options = parser.parse_args()
    language_model = keepmap.load_language_model(options.model_name)
    model, tokenizer = language_model.model, language_model.tokenizer
    for program in (with_a_pipeline, with_a_chat, with_a_streamer):
        with keepmap.evicting(model, options.method, density=options.density, window=options.window) as run:
            answer: Any = program(model, tokenizer)
        print(f"{program.__name__}: {answer}\n  {run.report()}", flush=True)


if __name__ == "__main__":
    main()
