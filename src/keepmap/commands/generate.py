"""Generating under eviction: the answer as it comes, the report, the full cache's answer beside it, and files."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from keepmap.commands.progress import share_of_work
from keepmap.core.arguments import as_flag, as_path
from keepmap.core.joining.plugins import plugins
from keepmap.core.runs.folder import RunFolder
from keepmap.core.runs.hashes import hash_of_files, hash_of_lines, hash_of_tensors
from keepmap.core.runs.identity import Identity
from keepmap.core.storage.text import read_text
from keepmap.core.versions import versions
from keepmap.drawing import cache_bytes, picture_formats, save_figure
from keepmap.errors import InputError, kind_of, on_one_line
from keepmap.kv.generation import (
    FILES,
    PACKAGES,
    Generation,
    as_json,
    as_spread,
    generate,
    read_generation,
    write_generation,
)
from keepmap.language_model import LanguageModel, load_language_model
from keepmap.printing.beside import MARK, beside

__all__ = ["generate_text"]

FIGURE = "cache_bytes"
WIDTH = 80
"""Letters of the two answers beside each other."""


def generate_text(
    prompt_file: str | Path,
    question_file: str | Path | None = None,
    model_name: str | Path = "tiny",
    method: str = "h2o",
    density: float | None = None,
    threshold: float | None = None,
    budget: int | None = None,
    budget_by: str | Path | None = None,
    n_sink: int | None = None,
    window: int | None = None,
    mode: str | None = None,
    chunk_size: int = 1,
    interval: int = 1,
    max_new_tokens: int = 200,
    chat_template: bool = False,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: int = 0,
    compare: bool = False,
    dtype: str = "auto",
    device: str = "auto",
    output_dir: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    format: str | None = None,
) -> Generation:
    """Let a model go on from the text of a file under eviction: print its answer as it comes, and what that held.

    The arguments are the options of `keepmap generate`, which `keepmap generate --help` describes. With an `output_dir`
    the result is written, too; the same call prints it again from there.

    >>> import contextlib, io, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as out:
    ...     prompt = pathlib.Path(folder, "prompt.txt")
    ...     _ = prompt.write_text("The code of river is 4821. " * 9)
    ...     generation = generate_text(prompt, density=0.2, window=16, max_new_tokens=5)
    >>> out.getvalue().startswith(generation.text), f"{generation.n_prompt} tokens read; " in out.getvalue()
    (True, True)

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
        KeyboardInterrupt: Ctrl-C; nothing is written then.
    """
    if not isinstance(model_name, str | Path):
        raise InputError(
            f"expected `model_name` to be a name or a folder, got {kind_of(model_name)}; "
            "keepmap.generate takes loaded models"
        )
    if output_dir is None and (as_flag("overwrite", overwrite) or format is not None):
        name = "format" if format is not None else "overwrite"
        raise InputError(f"expected `output_dir` to be given with `{name}`, got none; without it nothing is written")
    if as_flag("compare", compare) and as_flag("quiet", quiet) and output_dir is None:
        raise InputError("got `compare` and `quiet`, and the comparison would not be seen; leave one of them out")
    formats = picture_formats("png" if format is None else format)
    shared_by = None if budget_by is None else as_json(as_spread(budget_by, density))
    prompt, question = _texts(prompt_file, question_file)
    folder = None if output_dir is None else as_path("output_dir", output_dir)
    options = {
        "method": method,
        "density": density,
        "threshold": threshold,
        "budget": budget,
        "budget_by": budget_by,
        "n_sink": n_sink,
        "window": window,
        "mode": mode,
        "chunk_size": chunk_size,
        "interval": interval,
        "max_new_tokens": max_new_tokens,
        "chat_template": chat_template,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "compare": compare,
    }

    def work(language_model: LanguageModel) -> Generation:
        with _shown_while_reading(quiet) as (stream, progress):
            return generate(language_model, prompt, question=question, stream=stream, progress=progress, **options)  # type: ignore[arg-type]

    if folder is None:
        generation = work(load_language_model(model_name, device=device, dtype=dtype))
        _report(generation, quiet)
        return generation
    identity = Identity(
        verb="generate",
        # Of a table its content, not its name, decides.
        options={"model_name": str(model_name), "dtype": dtype, **options, "budget_by": shared_by},
        versions=versions(*PACKAGES),
        hashes={"text": hash_of_lines([prompt, question]), "plugins": hash_of_files(plugins())},
    )
    files = [*FILES, *(f"{FIGURE}.{name}" for name in formats)]
    with RunFolder(folder, identity, overwrite=overwrite) as place:
        place.check(files)
        language_model = load_language_model(model_name, device=device, dtype=dtype)
        place.begin([], files, model=hash_of_tensors(language_model.model.state_dict()))
        if place.was_finished:
            generation = read_generation(folder)
            print(generation.text, flush=True)
        else:
            generation = work(language_model)
            write_generation(folder, generation)
        results = [folder / name for name in FILES[:2]]
        paths = [*results, *save_figure(cache_bytes(generation), folder, FIGURE, formats)]
        place.finish()
    _report(generation, quiet)
    if not quiet:
        print("\n".join(f"Saved {on_one_line(path)}" for path in paths), flush=True)
    return generation


def _texts(prompt_file: str | Path, question_file: str | Path | None) -> tuple[str, str | None]:
    """The text and the question, as they stand; but for a newline at the very end, which editors put there."""
    prompt = read_text("prompt_file", prompt_file)
    if question_file is None:
        return _without_end("prompt_file", prompt), None
    return prompt, _without_end("question_file", read_text("question_file", question_file))


def _without_end(name: str, text: str) -> str:
    if text == "\n":
        raise InputError(f"expected `{name}` to hold a text, got an empty line; put one into it")
    return text.removesuffix("\n")


@contextlib.contextmanager
def _shown_while_reading(quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """What is told of the answer, and of how much is read: a bar, which is gone before the first word."""
    with contextlib.ExitStack() as stack:
        tell = stack.enter_context(share_of_work("Reading", Console(stderr=True, highlight=False), total=100.0))

        def progress(share: float) -> None:
            tell(share)
            if share >= 1:
                stack.close()

        def stream(piece: str) -> None:
            stack.close()
            print(piece, end="", flush=True)

        yield stream, progress
    print(flush=True)


def _report(generation: Generation, quiet: bool) -> None:
    """Print what was kept and held, and the other answer beside this one."""
    if quiet:
        return
    lines = ["", *generation.lines()]
    if generation.full is not None:
        lines += ["", *_compared(generation)]
    print("\n".join(lines), flush=True)


def _compared(generation: Generation) -> list[str]:
    assert generation.full is not None
    texts, at = (generation.text, generation.full.text), generation.divergence
    lines = beside((generation.label, "the full cache"), texts, WIDTH)
    if at is None:
        return [*lines, "", f"The same {len(generation.answer.tokens):,} tokens with the full cache."]
    where = "and both read alike" if texts[0] == texts[1] else f"at the mark {MARK}"
    return [*lines, "", f"The first difference is new token {at:,}, counted from 0, {where}."]
