"""Values in documents that become other values: what hypothesis draws is written where a reader expects something."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from hypothesis import strategies as st

from keepmap.core.storage.documents import with_checksum
from keepmap.core.storage.tensors import CHECKSUM, read_tensors, tensors_file

__all__ = ["edited", "values"]

Draw = Callable[..., Any]

HOSTILE = (
    None, True, False, -1, 0, 1, 2, 255, 256, 2**31, 2**53 + 1, 2**63, 10**7, 10**9, 10**12, 10**30, 1e308, 1e-320,
    0.5, float("nan"), float("inf"), "", " ", "a", "tiny", "a" * 5000, "\x1b[2J", "\u202e", "\ud800", "\0",
    "$x^$<b>{", "../x", "NaN", [], {}, [[]], {"": None}, [1, "a", None], {"name": "recency", "keep_recent": 10},
    [[0, 0]] * 3, [0] * 1000,
)  # fmt: skip


def values() -> st.SearchStrategy[Any]:
    """Any value of JSON, mostly one that has been trouble somewhere."""
    small = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    )
    return st.sampled_from(HOSTILE) | st.sampled_from(HOSTILE) | small


def edited(path: Path, draw: Draw) -> str:
    """Change a file of this format by its values; says how."""
    return f"{path.name}: {EDITORS[path.suffix](path, draw)}"


def _json(path: Path, draw: Draw) -> str:
    document, what = _document(json.loads(path.read_text(encoding="utf-8")), draw)
    path.write_text(json.dumps(_summed(document)), encoding="utf-8")
    return what


def _lines(path: Path, draw: Draw) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    at = draw(st.integers(0, len(lines) - 1))
    document, what = _document(json.loads(lines[at]), draw)
    lines[at] = json.dumps(document)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return what


def _yaml(path: Path, draw: Draw) -> str:
    if draw(st.booleans()):
        text = draw(st.text(st.sampled_from("a1:-[]{}&*!|>%#,'\"?@~\n\t .e+x"), max_size=40))
        path.write_text(text, encoding="utf-8")
        return f"it is {text!r}"
    document, what = _document(yaml.safe_load(path.read_text(encoding="utf-8")), draw)
    text = json.dumps(document) if draw(st.booleans()) else yaml.safe_dump(document, allow_unicode=False)
    path.write_text(text, encoding="utf-8", errors="replace")
    return what


def _text(path: Path, draw: Draw) -> str:
    text = draw(st.text(max_size=60))
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return f"it is {text!r}"


def _document(document: Any, draw: Draw) -> tuple[Any, str]:
    """Change one or two of its values, names or lengths; says which."""
    what = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 2]))):
        places = [*_places(document)]
        *path, last = places[draw(st.integers(0, len(places) - 1))]
        if last is None:
            document = draw(values())
            what.append(f"all of it is {document!r:.80}")
            break
        parent = document
        for step in path[1:]:
            parent = parent[step]
        where = ".".join(map(str, [*path[1:], last]))
        how = draw(st.sampled_from(["value", "value", "value", "gone", "renamed", "wrapped", "twice"]))
        if how == "value":
            parent[last] = draw(values())
            what.append(f"{where} is {parent[last]!r:.80}")
            continue
        what.append(f"{where} is {how}")
        if how == "wrapped":
            parent[last] = [parent[last]]
        elif how == "twice" and isinstance(parent[last], list):
            parent[last] = parent[last] * 2
        elif isinstance(parent, list):
            del parent[last]
        else:
            value = parent.pop(last)
            if how == "renamed":
                parent[draw(st.sampled_from(["", "a", "\x1b", "__class__", str(last).upper()]))] = value
    return document, ", ".join(what)


def _places(document: Any, path: tuple[Any, ...] = (None,)) -> Iterator[tuple[Any, ...]]:
    """The way to each value, from None for the whole."""
    yield path
    if isinstance(document, dict):
        for name, value in list(document.items())[:60]:
            yield from _places(value, (*path, name))
    elif isinstance(document, list):
        for at, value in enumerate(document[:4]):
            yield from _places(value, (*path, at))


def _summed(document: Any) -> Any:
    """With the checksum of what it holds now, where it had one: as from somebody who can count."""
    if isinstance(document, dict) and isinstance(document.pop("checksum", None), str):
        with contextlib.suppress(ValueError):  # of what JSON has not there is none
            return with_checksum(document)
    return document


def _safetensors(path: Path, draw: Draw) -> str:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    about = header.get("__metadata__", {})
    if CHECKSUM in about and draw(st.booleans()):
        tensors, metadata = read_tensors(path)
        if "about" in metadata and draw(st.booleans()):
            document, what = _document(json.loads(metadata["about"]), draw)
            metadata["about"] = json.dumps(document)
        else:
            name = draw(st.sampled_from(sorted(tensors)))
            how = draw(st.sampled_from(sorted(TENSORS)))
            tensors[name], what = TENSORS[how](tensors[name]), f"{name} is {how}"
        path.write_bytes(tensors_file(tensors, metadata))
        return what
    document, what = _document(header, draw)
    text = json.dumps(document).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return f"header: {what}"


TENSORS: dict[str, Callable[[Any], Any]] = {
    "empty": lambda tensor: tensor[:0],
    "flat": lambda tensor: tensor.reshape(-1),
    "negative": lambda tensor: -1 - tensor.float(),
    "not finite": lambda tensor: tensor.float() * float("nan"),
    "of int64": lambda tensor: tensor.long(),
    "of float64": lambda tensor: tensor.double(),
    "of truths": lambda tensor: tensor.bool(),
    "huge": lambda tensor: tensor.double() + 1e300,
    "one": lambda tensor: tensor.new_zeros(()) if tensor.numel() == 0 else tensor.reshape(-1)[0],
    "with an axis more": lambda tensor: tensor[None],
}


def _hdf5(path: Path, draw: Draw) -> str:
    with h5py.File(path, "r+") as file:
        if file.attrs and draw(st.booleans()):
            name = draw(st.sampled_from(sorted(file.attrs)))
            value = draw(st.sampled_from(ATTRIBUTES))
            del file.attrs[name]
            if value is not None:
                file.attrs[name] = value
            return f"attribute {name} is {value!r:.60}"
        group = draw(st.sampled_from(sorted(file)))
        if draw(st.sampled_from([True, False, False, False])):
            name = draw(st.sampled_from(["a", "-1", "0", "00", "7", "999", "10" * 30, "٣"]))
            if name not in file:
                file.move(group, name)
            return f"group {group} is {name}"
        name = draw(st.sampled_from(sorted(file[group])))
        how = draw(st.sampled_from(sorted(ARRAYS)))
        before = file[group][name][()]
        del file[group][name]
        ARRAYS[how](file[group], name, before)
        return f"{name} of {group} is {how}"


ATTRIBUTES: tuple[Any, ...] = (
    None, -1, 0, 3, 10**9, 2**63 - 1, 1.5, float("nan"), "a", "", "\x1b", "guide", np.bytes_(b"\xff"), np.array([1, 2]),
    np.zeros((0, 2)), h5py.Empty("f"), np.array(["a", "b"], dtype="S1"), "[" * 20_000, "x" * 60_000, True,
    np.void(b"\0\1"), "99999999999999999999999", "1/0", "0/5", "null", "[]", "[[1]]",
)  # fmt: skip
ARRAYS: dict[str, Callable[[h5py.Group, str, Any], object]] = {
    "gone": lambda group, name, before: None,
    "a number": lambda group, name, before: group.create_dataset(name, data=3),
    "a group": lambda group, name, before: group.create_group(name),
    "shorter": lambda group, name, before: group.create_dataset(name, data=before[:-1]),
    "of floats": lambda group, name, before: group.create_dataset(name, data=before + 0.5),
    "of large numbers": lambda group, name, before: group.create_dataset(name, data=before.astype("u8") + 2**63),
    "of texts": lambda group, name, before: group.create_dataset(name, data=before.astype("S8")),
    "of complex numbers": lambda group, name, before: group.create_dataset(name, data=before.astype("c16")),
    "sparse and large": lambda group, name, before: group.create_dataset(
        name, shape=(10**8, 10**4, *before.shape[2:]), dtype="u1", chunks=(256, 32, *before.shape[2:])
    ),
    "empty": lambda group, name, before: group.create_dataset(name, data=h5py.Empty("u1")),
    "a link": lambda group, name, before: group.__setitem__(name, h5py.SoftLink("/")),
    "a link outside": lambda group, name, before: group.__setitem__(name, h5py.ExternalLink("other.hdf5", "/")),
}
EDITORS: dict[str, Callable[[Path, Draw], str]] = {
    ".json": _json, ".jsonl": _lines, ".yaml": _yaml, ".txt": _text, ".md": _text, ".safetensors": _safetensors,
    ".hdf5": _hdf5,
}  # fmt: skip
