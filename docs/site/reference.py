"""The pages of the public names, which mkdocstrings writes from their docstrings when the site is built."""

import inspect

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import keepmap

PYTHON = {
    "kv": ("Language models and their caches", ("kv", "language_model", "commands")),
    "agents": ("Agents and their histories", ("agents",)),
    "attention": ("Attention and insight", ("attention", "insight")),
    "draw": ("Figures", ("drawing",)),
    "core": ("Values, statistics and errors", ("core", "errors")),
}
"""Page of the reference -> its title, and the rooms whose public names it shows."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each part of the reference, and the list of all names."""
    for page, content in pages().items():
        files.append(File.generated(config, f"api/{page}.md", content=content))
    return files


def pages() -> dict[str, str]:
    """Each page of the reference, by name, and the list of all of them, README."""
    names_of = public_names()
    listing = [
        "# Python",
        "Every public name. `import keepmap` loads neither torch nor transformers before one of them is used.",
    ]
    for page, names in names_of.items():
        rows = [f"| [`{name}`]({page}.md#{place(name)}) | {_claim(name)} |" for name in names]
        listing += [f"## {PYTHON[page][0]}", "\n".join(["| name | what it is |", "|---|---|", *rows])]
    directives = {
        page: [f"# {PYTHON[page][0]}", *(f"::: {place(name)}" for name in names)] for page, names in names_of.items()
    }
    return {page: "\n\n".join(parts) + "\n" for page, parts in {"README": listing, **directives}.items()}


def public_names() -> dict[str, list[str]]:
    """Page of the reference -> the public names that it shows, functions before types."""
    page_of = {room: page for page, (_, rooms) in PYTHON.items() for room in rooms}
    shown: dict[str, list[str]] = {page: [] for page in PYTHON}
    for name in sorted(keepmap.__all__, key=lambda name: (name[0].isupper(), name)):
        if name not in ("draw", "__version__"):
            shown[page_of[_value(name).__module__.split(".")[1]]].append(name)
    shown["draw"] += [f"draw.{name}" for name in dir(keepmap.draw)]
    return shown


def place(name: str) -> str:
    """Where mkdocstrings finds a public name: the figures are found by scanning, which it cannot follow.

    >>> place("evict"), place("draw.attention_grid")
    ('keepmap.evict', 'keepmap.drawing.attention_grid.attention_grid')
    """
    return f"{_value(name).__module__}.{name.removeprefix('draw.')}" if name.startswith("draw.") else f"keepmap.{name}"


def _value(name: str) -> object:
    value: object = keepmap
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _claim(name: str) -> str:
    return (inspect.getdoc(_value(name)) or "").partition("\n")[0]
