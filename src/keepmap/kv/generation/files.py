"""A generation as files: what it said and held as JSON, what it kept as a KeepMap, and the times apart from both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.files import read_json, write_json
from keepmap.core.keep_map import KeepMap
from keepmap.core.storage.documents import read_document, write_document
from keepmap.core.storage.fields import typed
from keepmap.errors import InputError
from keepmap.kv.cache.report import Moment, report_of
from keepmap.kv.choosing import Protection
from keepmap.kv.generation.generation import Answered, Generation
from keepmap.kv.modes import Mode

__all__ = ["FILES", "read_generation", "write_generation"]

RESULT, KEEP_MAP, TIMINGS = "generation.json", "keep_map.safetensors", "timings.json"
FILES = (RESULT, KEEP_MAP, TIMINGS)
"""What a generation is in a folder; the same one has the same bytes, but for the times."""
FORMAT = "keepmap-generation/1"
_TIMES = ("reading", "decoding")


def write_generation(folder: Path, generation: Generation) -> None:
    """Write the files of a generation, each whole or not at all.

    Raises:
        OutputError: one cannot be written.
    """
    answers = {"answer": generation.answer, "full": generation.full}
    times = {
        name: {time: getattr(answer, time) for time in _TIMES} for name, answer in answers.items() if answer is not None
    }
    generation.keep_map.save(folder / KEEP_MAP, overwrite=True)
    write_json(folder / TIMINGS, times)
    write_document(folder / RESULT, {"format": FORMAT, **generation.document()})


def read_generation(path: str | Path) -> Generation:
    """Read what `keepmap generate --output_dir` wrote, to an equal generation.

    >>> import contextlib, io, pathlib, tempfile
    >>> from keepmap.commands.generate import generate_text
    >>> with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    ...     _ = pathlib.Path(folder, "prompt.txt").write_text("The code of river is 4821. " * 9)
    ...     generation = generate_text(
    ...         f"{folder}/prompt.txt", density=0.2, window=16, max_new_tokens=5, output_dir=f"{folder}/out"
    ...     )
    ...     same = read_generation(f"{folder}/out") == generation
    >>> same
    True

    Args:
        path: the folder, or its generation.json.

    Raises:
        InputError: no such file, or one that is no generation, or a damaged one.
    """
    file = as_path("path", path).expanduser()
    file = file / RESULT if file.is_dir() else file
    try:
        document = read_document(file)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        return _checked(document, KeepMap.load(file.parent / KEEP_MAP), _times(file.parent / TIMINGS))
    except FileNotFoundError:
        raise InputError(
            f"no generation at {file}: no such file; give an output folder of `keepmap generate`"
        ) from None
    except InputError:  # of the KeepMap, which says it all
        raise
    except KeyError as error:
        raise InputError(f"{file} is not a generation, or is damaged: it has no {error}") from None
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{file} is not a generation, or is damaged: {' '.join(str(error).split())[:200]}") from None


def _checked(document: Mapping[str, Any], keep_map: KeepMap, times: Mapping[str, Any]) -> Generation:
    """The generation of a document; errors of many kinds where it is not."""
    report = document["report"]
    columns = [_integers(report[name], name) for name in ("tokens", "bytes", "full_bytes")]
    options, versions = (document[name] for name in ("options", "versions"))
    if not isinstance(options, dict) or not isinstance(versions, dict):
        raise ValueError("its options or versions are not a mapping")
    generation = Generation(
        n_prompt=typed(document["n_prompt"], int, "n_prompt"),
        n_question=typed(document["n_question"], int, "n_question"),
        answer=_answer(document, times.get("answer")),
        full=None if document["full"] is None else _answer(document["full"], times.get("full")),
        cache=report_of(
            tuple(Moment(*values) for values in zip(*columns, strict=True)),
            typed(report["peak_bytes"], int, "peak_bytes"),
            Protection(keep_map.n_sink, keep_map.window),
            _mode(keep_map),
            keep_map.shape[2],
        ),
        keep_map=keep_map,
        options=options,
        versions=versions,
    )
    expected = generation.document()
    for key in expected:
        if expected[key] != document[key]:
            raise ValueError(f"its {key} does not agree with the rest")
    if generation.n_prompt + len(generation.answer.tokens) - 1 != keep_map.shape[2]:
        raise ValueError(f"its KeepMap is of {keep_map.shape[2]} tokens")
    return generation


def _mode(keep_map: KeepMap) -> Mode:
    """When it was cut. Files from before there were modes and intervals do not say that they have none."""
    if keep_map.context_length is not None:
        return Mode("once", context_length=keep_map.context_length)
    chunk, interval = (typed(keep_map.info.get(name, 1), int, name) for name in ("chunk_size", "interval"))
    if min(chunk, interval) < 1:
        raise ValueError("its chunk_size or interval is below 1")
    return Mode("chunked" if chunk > 1 else "decode", chunk_size=chunk, interval=interval)


def _answer(values: Mapping[str, Any], times: Any) -> Answered:
    text = values["text"]
    if not isinstance(text, str):
        raise ValueError("its text is none")
    known = times if isinstance(times, dict) else {}
    reading, decoding = (typed(known.get(name), float | None, name) for name in _TIMES)
    return Answered(tokens=tuple(_integers(values["tokens"], "tokens")), text=text, reading=reading, decoding=decoding)


def _integers(values: Any, name: str) -> list[int]:
    if not isinstance(values, list):
        raise ValueError(f"its {name} are no list")
    return [typed(value, int, name) for value in values]


def _times(path: Path) -> Mapping[str, Any]:
    """What is known of the times: nothing where the file is gone, for nothing else follows from it."""
    times = read_json(path) if path.is_file() else {}
    if not isinstance(times, dict):
        raise ValueError(f"{path.name} is no mapping")
    return times
