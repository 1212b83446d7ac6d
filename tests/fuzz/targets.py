"""What is fuzzed: good files of every format that keepmap reads, and what a user does with them."""

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

import keepmap
from keepmap.agents.acting.agent import load_agent
from keepmap.agents.checkpoints import TRAINING, load_tensors, read_checkpoint
from keepmap.agents.config import load_config
from keepmap.agents.evaluation.returns import write_evaluation
from keepmap.agents.study.lives import write_family_study
from keepmap.agents.study.results import write_study
from keepmap.attention.profile import AttentionProfile
from keepmap.core.keep_map import KeepMap
from keepmap.core.runs.listing import runs_under
from keepmap.core.storage.documents import write_document
from keepmap.core.storage.tensors import tensors_file
from keepmap.insight.document import as_document
from keepmap.kv.data.texts import read_texts, tokenize_texts
from keepmap.kv.generation import write_generation
from keepmap.kv.surrogate import KVzapSurrogate, SurrogateConfig, find_surrogate, load_surrogate
from keepmap.language_model import load_language_model
from tests.agents.checkpoint_folders import write_agent
from tests.agents.study.lives.some_lives import BEST, LIVES, RANDOM
from tests.agents.study.some_runs import study
from tests.drawing.profiles import marked, profile_of
from tests.insight.test_document import verification
from tests.language_model.test_gguf import write_gguf
from tests.small_model import write_model

__all__ = ["TARGETS", "Target"]

TEXT = "The code of river is 4821, and that of the lake is 17. " * 2


@dataclass(frozen=True)
class Target:
    """Files, and what reads them.

    Attributes:
        build: writes good files into a folder.
        use: what a user does with them; what it returns can be compared.
        checked: whether a checksum stands for all that is read: then damaged files give the same value, or an error.
        apart: files that are not damaged.
        has_values: whether the values in the files can be changed, beside their bytes.
    """

    build: Callable[[Path], object]
    use: Callable[[Path], object]
    checked: bool = False
    apart: tuple[str, ...] = ()
    has_values: bool = True


def _write_texts(folder: Path) -> None:
    (folder / "data.jsonl").write_text("".join(json.dumps({"text": TEXT, "n": n}) + "\n" for n in range(3)))


def _read_texts(path: Path) -> object:
    texts, skipped = read_texts(path)
    tokenizer = load_language_model("tiny", device="cpu").tokenizer
    samples = tokenize_texts(texts, tokenizer, vocab_size=2048, max_positions=512, skipped=skipped, skip_long=True)
    return [sample.ids for sample in samples.samples], list(map(str, samples.skipped))


def _write_text_folder(folder: Path) -> None:
    (folder / "data").mkdir()
    for name in ("a.txt", "b.md", "c.txt"):
        (folder / "data" / name).write_text(TEXT)


def _write_configs(folder: Path) -> None:
    (folder / "base.yaml").write_text("env: darkroom\ngrid_size: 5\nn_transit: 40\nlr: 1e-3\n")
    (folder / "config.yaml").write_text(
        "include: [base.yaml]\ntf_n_embd: 32\ncompressor: {name: recency, keep_recent: 10}\nflash_attn: true\n"
        "split: 0/5\ntraj_dir: null\nmixed_precision: fp32\n"
    )


def _read_config(folder: Path) -> object:
    config = load_config([folder / "config.yaml"])
    return config.as_dict(), repr(config), config.run_folder(), config.histories_path(), config.goal_split().held_out


def _write_checkpoint(folder: Path) -> None:
    checkpoint = write_agent(folder / "run", compressor={"name": "uniform", "target_length": 5}) / "ckpt-10"
    (checkpoint / TRAINING).write_bytes(tensors_file({"moment": torch.ones(3)}, {"step": "10"}))


def _read_checkpoint(folder: Path) -> object:
    agent = load_agent(folder / "run")
    returns = keepmap.evaluate(agent, [(0, 2)], episodes=2).returns.tolist()
    training = load_tensors(read_checkpoint(folder / "run" / "ckpt-10"), TRAINING)
    return repr(agent), returns, sorted(training)


def _write_histories(folder: Path) -> None:
    keepmap.collect("darkroom", size=3, learners=2, episodes=4, out=folder / "histories.hdf5")


def _write_old_histories(folder: Path) -> None:
    """As the guide's own code writes them, and as earlier versions of keepmap did: texts of any length."""
    _write_histories(folder)
    with h5py.File(folder / "histories.hdf5", "r+") as file:
        for name, value in list(file.attrs.items()):
            if isinstance(value, bytes):
                file.attrs[name] = value.decode()
    with h5py.File(folder / "guide.hdf5", "w") as file:
        for goal in range(2):
            group = file.create_group(str(goal))
            for name in ("states", "next_states"):
                group.create_dataset(name, data=np.zeros((40, 2, 2), dtype=np.int64), compression="gzip")
            for name in ("actions", "rewards", "dones"):
                group.create_dataset(name, data=np.zeros((40, 2), dtype=np.float32))


def _read_histories(folder: Path) -> object:
    every = []
    for path in sorted(folder.glob("*.hdf5")):
        histories = keepmap.open_histories(path)
        streams = histories[len(histories) - 1]
        every.append((repr(histories), histories.goals, histories.options, streams.rewards.tolist(), repr(streams)))
    return every


def _write_keep_map(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 2, 20, generator=generator)
    expires = torch.arange(20).add(1).expand(2, 2, 20).add((scores * 5).int()).clamp(max=20)
    KeepMap(expires, scores, n_sink=2, window=3, info={"method": "random", "model": "tiny"}).save(
        folder / "map.safetensors"
    )


def _read_keep_map(folder: Path) -> object:
    keep_map = KeepMap.load(folder / "map.safetensors")
    last = keep_map.shape[2] - 1
    return (
        repr(keep_map), keep_map._repr_html_(), keep_map.scores.tolist(), keep_map.footprint(), keep_map.threshold,
        keep_map.density(last) if last >= 0 else None, keep_map.overlap(keep_map, compressible=True), keep_map.info,
    )  # fmt: skip


def _read_profile(folder: Path) -> object:
    profile = AttentionProfile.load(folder / "profile.safetensors")
    return repr(profile), profile._repr_html_(), profile.received.tolist(), repr(keepmap.suggest(profile))


def _write_surrogate(folder: Path) -> None:
    torch.manual_seed(0)
    KVzapSurrogate(SurrogateConfig(input_dim=4, output_dim=2, n_modules=2, hidden_dim=3)).save(folder / "surrogate")


def _read_surrogate(folder: Path) -> object:
    surrogate = load_surrogate(folder / "surrogate")
    same = find_surrogate([folder / "surrogate"], torch.nn.LayerNorm(4))
    return (
        surrogate.config,
        surrogate(torch.ones(3, surrogate.config.n_modules, surrogate.config.input_dim)).tolist(),
        same,
    )


def _write_trained_surrogate(folder: Path) -> None:
    texts = [TEXT * 2, TEXT.upper() * 2]
    keepmap.train_surrogate("tiny", texts, out=folder / "surrogate")


def _read_trained_surrogate(folder: Path) -> object:
    trained = keepmap.read_surrogate(folder / "surrogate")
    return repr(trained), trained._repr_html_(), trained.options


def _write_sharded_model(folder: Path) -> None:
    write_model(folder)
    model = load_language_model(folder, device="cpu").model
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")


def _read_model(folder: Path) -> object:
    model = load_language_model(folder, device="cpu")
    eviction = keepmap.evict(model, "the quick brown fox", "streaming_llm", window=4, density=0.5)
    return repr(model), eviction.logits.shape, repr(eviction)


def _write_gguf(folder: Path) -> None:
    write_model(folder / "source")
    write_gguf(folder / "model.gguf", load_language_model(folder / "source", device="cpu").model)


def _read_gguf(folder: Path) -> object:
    model = load_language_model(folder / "model.gguf", tokenizer=folder / "source", device="cpu")
    return repr(model), repr(keepmap.evict(model, "the quick", "random", window=2, density=0.5))


def _compare(folder: Path) -> None:
    (folder / "data.jsonl").write_text(json.dumps({"text": "the quick brown fox"}) + "\n")
    write_model(folder / "model")
    with contextlib.redirect_stdout(io.StringIO()):
        keepmap.compare_compression_methods(
            folder / "data.jsonl", model_name=str(folder / "model"), methods="random", sliding_window_size=4,
            output_dir=folder / "out", visualize_first_sample=False,
        )  # fmt: skip


def _read_comparison(folder: Path) -> object:
    comparison = keepmap.read_comparison(folder / "out")
    return repr(comparison), comparison.to_csv(), comparison.to_latex(), dict(comparison.keep_maps)["random"].info


def _read_runs(folder: Path) -> object:
    from keepmap.commands.runs import show_runs

    with contextlib.redirect_stdout(io.StringIO()) as out:
        show_runs(folder)
    return [(run.state, run.file.identity) for run in runs_under(folder)], out.getvalue()


def _goes_on(folder: Path) -> object:
    """The same call over what is left of a run: it goes on, or says in one line why not."""
    with contextlib.redirect_stdout(io.StringIO()):
        comparison = keepmap.compare_compression_methods(
            folder / "data.jsonl", model_name=str(folder / "model"), methods="random", sliding_window_size=4,
            output_dir=folder / "out", visualize_first_sample=False, quiet=True,
        )  # fmt: skip
    return comparison.rows


def _write_evaluation(folder: Path) -> None:
    write_evaluation(folder / "evaluation.json", keepmap.evaluate("tiny", [(7, 2), (1, 4)], episodes=3))


def _read_evaluation(folder: Path) -> object:
    evaluation = keepmap.read_evaluation(folder / "evaluation.json")
    return repr(evaluation), evaluation.to_csv(), evaluation._repr_html_(), dict(evaluation.options)


def _write_generation(folder: Path) -> None:
    write_generation(folder, keepmap.generate("tiny", TEXT, "h2o", density=0.5, window=4, max_new_tokens=3))


def _read_generation(folder: Path) -> object:
    read = keepmap.read_generation(folder)
    return read.document(), read._repr_html_(), read.keep_map.density()


def _read_study(folder: Path) -> object:
    read = keepmap.read_study(folder / "study.json")
    return repr(read), read.to_csv(), read.to_latex(), read._repr_html_()


def _write_family_study(folder: Path) -> None:
    write_family_study(folder / "family_study.json", LIVES, BEST, RANDOM, {"world": "bandit"}, {"keepmap": "0"})


def _read_family_study(folder: Path) -> object:
    read = keepmap.read_family_study(folder / "family_study.json")
    return repr(read), read.to_csv(), read.to_latex(), read._repr_html_()


def _write_verification(folder: Path) -> None:
    write_document(folder / "attention.json", {"verification": as_document(verification("agent"))})


def _read_verification(folder: Path) -> object:
    read = keepmap.read_verification(folder)
    return repr(read), read.to_csv(), read._repr_html_()


TARGETS: dict[str, Target] = {
    "json-lines": Target(_write_texts, lambda folder: _read_texts(folder / "data.jsonl")),
    "text-file": Target(_write_text_folder, lambda folder: _read_texts(folder / "data" / "a.txt")),
    "text-folder": Target(_write_text_folder, lambda folder: _read_texts(folder / "data")),
    "yaml": Target(_write_configs, _read_config),
    "checkpoint": Target(_write_checkpoint, _read_checkpoint),
    "histories": Target(_write_histories, _read_histories),
    "old-histories": Target(_write_old_histories, _read_histories),
    "keep-map": Target(_write_keep_map, _read_keep_map, checked=True),
    "profile": Target(
        lambda folder: marked(profile_of(n=12, layers=1, heads=2)).save(folder / "profile.safetensors"),
        _read_profile,
        checked=True,
    ),
    "surrogate": Target(_write_surrogate, _read_surrogate),
    "trained-surrogate": Target(_write_trained_surrogate, _read_trained_surrogate),
    "model": Target(write_model, _read_model),
    "sharded-model": Target(_write_sharded_model, _read_model),
    "gguf": Target(_write_gguf, _read_gguf, apart=("source/",), has_values=False),
    "comparison": Target(_compare, _read_comparison, checked=True, apart=("model/", "data.jsonl")),
    "runs": Target(_compare, _read_runs, apart=("model/", "data.jsonl")),
    "going-on": Target(_compare, _goes_on, checked=True, apart=("model/", "data.jsonl")),
    "evaluation": Target(_write_evaluation, _read_evaluation, checked=True),
    "generation": Target(_write_generation, _read_generation, checked=True, apart=("timings.json",)),
    "study": Target(lambda folder: write_study(folder / "study.json", study()), _read_study, checked=True),
    "family-study": Target(_write_family_study, _read_family_study, checked=True),
    "verification": Target(_write_verification, _read_verification, checked=True),
}
