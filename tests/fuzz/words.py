"""Command lines with values of every kind for the options of every verb; what they name lies in the folder at hand."""

import json
import types
import typing
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

import keepmap
from keepmap.cli.verbs import VERBS
from tests.agents.checkpoint_folders import write_agent
from tests.small_model import write_model

__all__ = ["WORK", "command_lines", "write_place"]

PLACES = {
    "data_path": ["data.jsonl", "a.txt", "texts", "empty"],
    "model_name": ["model", "tiny", "agent"],
    "out": ["out", "a.txt"],
    "checkpoint": ["agent", "tiny", "agent/ckpt-10", "model"],
    "config": ["config.yaml", "data.jsonl"],
    "kvzap_scorer_model": ["model", "tiny"],
    "output_dir": ["out", "texts"],
    "prompt_file": ["a.txt", "data.jsonl", "texts"],
    "question_file": ["a.txt", "empty"],
    "folder": [".", "texts"],
    "run_dirs": [".", "texts", "data.jsonl"],
    "spans": ["data.jsonl", "a.txt", "texts"],
    "plugin": ["plugin.py"],
}  # fmt: skip
"""Options that name files or folders, and what is there that they can name."""
POSITIONAL = ("folder", "run_dirs")
NOWHERE = [
    "", " ", "nothing", "a" * 300, "a\x1bb", "data.jsonl/x", "\u202e", "\udc80", "\ud800", "$x^$", "-", "%s", "a\nb",
    "ü", "x.gguf",
]  # fmt: skip
TEXTS = [
    "", " ", "all", "none", "auto", "text", "$x^$", "\x1b[2J", "a" * 5000, "\ud800", "\u202e", "{", "[1]", "null",
    "1,2", "-1,-1", "999999999999,1", "1/0", "0/5", "5/5", "guide", "png,png", "svg", "pdf,", "random,random",
    "recency", "h2o", "darkroom", "cpu", "cuda:99", "float32", "viridis", "held_out", "train", '{"kvzap": NaN}',
    '{"random": 1e999}', '{"a": [[[]]]}', "optimistic", "0,0",
]  # fmt: skip
INTEGERS = [
    "0", "1", "2", "-1", "3", "-0", "1e3", "1.5", "0x10", "", "nan", "9" * 30, "9" * 5000, str(2**63), str(2**31),
    "١", "1_0",
]  # fmt: skip
FLOATS = [
    "0", "1", "0.5", "-1", "nan", "inf", "1e400", "1e-400", "0.0000001", "1.0000001", "", "x", "50", "100", "9" * 400,
]  # fmt: skip
SETTINGS = {
    "collect": ["optimism=1", "x=1", "=", "a", "optimism=nan", "optimism=1e400", "p=0.5", "optimism=9" + "9" * 500],
    "train": [
        "n_transit=1", "n_transit=1e12", "lr=nan", "tf_n_embd=8", "tf_n_layer=1e9", "compressor.name=recency",
        "horizon=1e15", "compressor={name: recency, keep_recent: -1}", "split=0/2", "n_stream=1e9", "grid_size=255",
        "train_batch_size=1e9", "env=dark_key_to_door", "alg=ppo", "init=model", "init=nothing", "ckpt_interval=1",
        "last_episodes=99", "a: b",
    ],
    "evaluate": ["keep_recent=3", "keep_recent=0", "x=1", "=", "target_length=9" + "9" * 40, "a"],
}  # fmt: skip
SETTINGS["study"] = SETTINGS["train"]
BASE = {
    "compare": (
        "--data_path data.jsonl --model_name model --methods random --sliding_window_size 4"
        " --no_visualize --workers 1"
    ),
    "sample-data": "--out out.jsonl --n_samples 1 --length 1000",
    "train-surrogate": "--data_path data.jsonl --out out --model_name model --positions_per_text 5",
    "generate": "--prompt_file a.txt --model_name model --density 0.5 --window 4 --max_new_tokens 2",
    "methods": "",
    "tasks": "--tasks facts --methods random --n_samples 1 --length 60 --window 8 --output_dir out",
    "sweep": "--tasks facts --methods random --n_samples 1 --length 60 --window 8 --output_dir out",
    "check-method": "plugin.py",
    "report": "texts",
    "runs": "texts",
    "collect": "--size 3 --learners 1 --episodes 2 --out out.hdf5",
    "train": "--config config.yaml --set train_timesteps=1 n_stream=2 n_episodes=5 train_batch_size=2",
    "evaluate": "--checkpoint agent --episodes 1 --goals 0,2 --output_dir out",
    "compressors": "--n_transit 20 --output_dir out",
    "attention": "--checkpoint agent --samples 1 --output_dir out",
    "study": (
        "--checkpoint agent --compressors recency --budgets 50 --seeds 1 --updates 1"
        " --copies 1 --workers 1 --output_dir out"
    ),
}  # fmt: skip
"""What makes the work of a verb small."""
WORK = 1.0
"""Seconds of processor after which a command that works is ended by a signal: it has more to do than fits here."""


def write_place(folder: Path) -> None:
    """A folder with something of everything that options can name."""
    write_model(folder / "model")
    write_agent(folder / "agent")
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    lines = [json.dumps({"text": f"{n} the quick brown fox and the lazy dog", "n": n}) for n in range(3)]
    (folder / "data.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("a.txt", "texts/a.txt", "texts/b.md"):
        (folder / name).write_text("the quick brown fox and the lazy dog")
    (folder / "config.yaml").write_text(
        "grid_size: 3\nhorizon: 6\nn_transit: 12\nmax_reward: 6\ntf_n_embd: 16\ntf_n_layer: 1\ntf_n_head: 2\n"
        "tf_n_inner: 16\nlog_dir: runs/fuzz\n"
    )
    (folder / "plugin.py").write_text(
        "import keepmap\n\n\n@keepmap.figure(keepmap.KeepMap)\ndef f(m):\n    return None\n"
    )
    # What is compiled at its first use is compiled here, and not in a case that a signal ends after a second.
    keepmap.generate(folder / "model", "the quick brown fox", "h2o", density=0.5, window=4, max_new_tokens=3)


def command_lines(verb: str) -> st.SearchStrategy[list[str]]:
    """The words of a verb: what makes its work small, with up to three options that hold anything."""
    record = VERBS[verb].record
    hints = get_type_hints(record)
    every = [option for option in fields(record) if option.name != "workers"]
    if not every:
        return st.just([verb])
    chosen = st.lists(st.sampled_from(every), max_size=3, unique_by=lambda option: option.name)
    return chosen.flatmap(lambda options: _words(verb, options, hints))


def _words(verb: str, options: list[Field[Any]], hints: dict[str, Any]) -> st.SearchStrategy[list[str]]:
    base = [verb, *BASE[verb].split()]
    for option in options:
        base = _without(base, option.name)
    parts = [_option(verb, option, hints[option.name]) for option in options]
    if verb == "runs" and not options:
        return st.just(base)
    return st.tuples(*parts).map(lambda words: [*base, *(word for part in words for word in part)])


def _without(words: list[str], name: str) -> list[str]:
    """The words without an option and its values."""
    if name in POSITIONAL:
        return words[:1]
    if f"--{name}" not in words:
        return words
    start = words.index(f"--{name}")
    end = next((at for at in range(start + 1, len(words)) if words[at].startswith("--")), len(words))
    return words[:start] + words[end:]


def _option(verb: str, option: Field[Any], hint: Any) -> st.SearchStrategy[list[str]]:
    if hint is bool or option.default is False:
        return st.sampled_from([[f"--{option.name}"], [f"--{option.name}", "x"], [f"--{option.name}=1"]])
    several = get_origin(hint) is tuple
    value = _value(verb, option.name, get_args(hint)[0] if several else hint)
    listed = st.lists(value, max_size=3 if several else 1, min_size=0 if several else 1)
    if option.name in POSITIONAL:
        return listed
    return listed.map(lambda values: [f"--{option.name}", *values])


def _value(verb: str, name: str, hint: Any) -> st.SearchStrategy[str]:
    if name in PLACES:
        places = st.sampled_from(PLACES[name]) | st.sampled_from(NOWHERE)
        return places | st.text(st.characters(exclude_characters="/~.\0", exclude_categories=()), max_size=12)
    if name == "set":
        return st.sampled_from(SETTINGS[verb])
    kinds = {*(get_args(hint) if isinstance(hint, types.UnionType) or get_origin(hint) is typing.Union else (hint,))}
    if int in kinds:
        return st.sampled_from(INTEGERS) | st.integers(-3, 9).map(str)
    if float in kinds:
        return st.sampled_from(FLOATS) | st.floats().map(str)
    literals = [value for kind in kinds for value in get_args(kind) if isinstance(value, str)]
    return st.sampled_from(literals + TEXTS) | st.text(max_size=12)
