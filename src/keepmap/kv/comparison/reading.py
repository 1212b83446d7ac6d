"""Reading a comparison back: what is read is data from outside, and every field of it is checked."""

from pathlib import Path
from typing import Any

from keepmap.core.arguments import as_path
from keepmap.core.storage.documents import read_document
from keepmap.core.storage.fields import as_record, typed
from keepmap.errors import ImpossibleResultError, InputError
from keepmap.kv.comparison.files import DETAILED, SavedKeepMaps, SavedTokenCosts
from keepmap.kv.comparison.plan import BASELINE
from keepmap.kv.comparison.results import Comparison, MethodResult, SampleResult
from keepmap.kv.comparison.session import NO_CHUNKING

__all__ = ["comparison_from", "read_comparison"]


def read_comparison(path: str | Path) -> Comparison:
    """Read a comparison that `compare_compression_methods` wrote; it is equal to the one that was returned there.

    >>> import contextlib, io, json, pathlib, tempfile
    >>> import keepmap
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = pathlib.Path(folder, "data.jsonl")
    ...     _ = data.write_text(json.dumps({"text": "The code of river is 4821. " * 9}))
    ...     with contextlib.redirect_stdout(io.StringIO()):
    ...         comparison = keepmap.compare_compression_methods(
    ...             data, methods="streaming_llm", sliding_window_size=16, output_dir=f"{folder}/out",
    ...             visualize_first_sample=False,
    ...         )
    ...     read = keepmap.read_comparison(f"{folder}/out")
    >>> read == comparison
    True

    Args:
        path: the output folder, or its detailed_results.json.

    Raises:
        InputError: no such file, or one that holds no comparison, or a damaged one.
    """
    file = as_path("path", path).expanduser()
    if file.is_dir():
        file = file / DETAILED
    try:
        document = read_document(file, parse_constant=_refuse)
        return comparison_from(document, file.parent)
    except FileNotFoundError:
        raise InputError(f"no comparison at {file}: no such file; give an output folder of `keepmap compare`") from None
    except OSError as error:
        raise InputError(f"cannot read the comparison {file}: {error.strerror or error}") from None
    except KeyError as error:
        raise InputError(f"{file} is not a comparison, or is damaged: it has no {error}") from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, ImpossibleResultError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file} is not a comparison, or is damaged: {reason}") from None


def comparison_from(document: Any, folder: Path) -> Comparison:
    """The comparison whose document this is.

    Args:
        folder: where the KeepMaps are.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, ImpossibleResultError: it is not one.
    """
    configuration, by_method = document["configuration"], document["methods"]
    keys = [NO_CHUNKING, BASELINE, *configuration["methods"]]
    rows: dict[str, MethodResult] = {}
    results: dict[str, list[SampleResult]] = {}
    for key, entry in by_method.items():
        entry = dict(entry)
        results[key] = [as_record(SampleResult, sample) for sample in entry.pop("samples")]
        rows[key] = as_record(MethodResult, entry)
        if rows[key].n_samples != len(results[key]):
            raise ValueError(f"{key} has {len(results[key])} samples and a row of {rows[key].n_samples}")
    if rows.keys() != set(keys):
        raise ValueError(f"expected the methods {', '.join(map(str, keys))}, got {', '.join(rows)}")
    order = [sample.sample for sample in results[BASELINE]]
    for key in keys:
        if [(sample.method, sample.sample) for sample in results[key]] != [(key, number) for number in order]:
            raise ValueError(f"the samples of {key} are not those of the baseline")
    methods = tuple(rows[key] for key in by_method if key not in (NO_CHUNKING, BASELINE))
    samples = tuple(results[key][index] for index in range(len(order)) for key in keys)
    comparison = Comparison(
        configuration=configuration,
        baseline_no_chunking=rows[NO_CHUNKING],
        baseline=rows[BASELINE],
        methods=methods,
        samples=samples,
        complete=typed(document["complete"], bool, "complete"),
        validated=typed(_validated(document["validation"]), int | None, "validation"),
        keep_maps=SavedKeepMaps(folder, methods, samples),
        token_costs=SavedTokenCosts(folder, [row.method_key for row in methods]),
    )
    if comparison.document() != document:
        raise ValueError("its parts do not agree")
    return comparison


def _validated(validation: Any) -> Any:
    return validation["streaming_llm_equals_random_validation_on_samples"]


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is not JSON")
