"""Write one page per method from its docstring, and the README's table of methods, from the registry.

python docs/generate.py            write what is out of date
python docs/generate.py --check    say what is out of date, and exit with 1 if anything is
"""

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path

from keepmap.methods.base import Method
from keepmap.registry import methods

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- methods: written by docs/generate.py -->", "<!-- end of methods -->"
NOTE = "<!-- Written by docs/generate.py from the method's docstring: change that. -->"
NEEDS = {
    "nothing": "nothing",
    "position": "the position's own layer input",
    "prefix": "the prefix so far",
    "received": "the attention received so far, in the evicting model",
}


def default_rule(method: type[Method]) -> str:
    """What decides unless the user says otherwise, as one phrase."""
    if method.threshold is not None:
        return "keeps everything" if method.threshold == float("-inf") else f"threshold {method.threshold:g}"
    return f"budget, density {method.density:g}" if method.density is not None else "budget, density given by the user"


def sections(method: type[Method]) -> dict[str, str]:
    """A docstring cut into claim, body and the blocks `Attributes:`, `Reference:`, `Differs from the paper:`."""
    claim, _, rest = inspect.cleandoc(method.__doc__ or "").partition("\n")
    found = {"claim": claim.strip(), "body": ""}
    current = "body"
    for line in rest.strip().splitlines():
        head, colon, tail = line.partition(":")
        if colon and head in ("Attributes", "Reference", "Differs from the paper"):
            current = head
            found[current] = tail.strip()
        else:
            found[current] = f"{found[current]}\n{line}" if found[current] else line
    return {name: text.strip("\n") for name, text in found.items()}


def page(method: type[Method]) -> str:
    """The Markdown page of one method."""
    parts = sections(method)
    protection = "none" if method.name == "baseline" else f"{method.n_sink} sinks, window {method.window}"
    text = [
        NOTE,
        f"# {method.label}",
        parts["claim"],
        "\n".join(
            [
                "| | |",
                "|---|---|",
                f"| name | `{method.name}` |",
                f"| its score needs | {NEEDS[method.needs]} |",
                f"| rule by default | {default_rule(method)} |",
                f"| protected by default | {protection} |",
                f"| needs a trained surrogate | {'yes' if method.needs_surrogate else 'no'} |",
            ]
        ),
        parts["body"],
    ]
    if "Attributes" in parts:
        text += ["## Parameters", _listed(parts["Attributes"])]
    if "Reference" in parts:
        text += ["## Reference", _joined(parts["Reference"])]
    if "Differs from the paper" in parts:
        text += ["## Differs from the paper", _joined(parts["Differs from the paper"])]
    if method.name != "baseline":
        command = f"keepmap compare --data_path data.jsonl --methods {method.name} --density 0.2"
        text += ["## Try it", f"    {command}"]
    return "\n\n".join(part for part in text if part) + "\n"


def table() -> str:
    """The README's table: one row per method, grouped by what its score needs."""
    rows = ["| method | | by default | what is kept |", "|---|---|---|---|"]
    group = None
    for name, method in methods().items():
        if method.needs != group:
            group = method.needs
            rows.append(f"| *score needs {NEEDS[group]}* | | | |")
        link = f"[`{name}`](docs/methods/{name}.md)"
        claim = sections(method)["claim"].replace("|", r"\|")
        rows.append(f"| {link} | {method.label} | {default_rule(method)} | {claim} |")
    return "\n".join(rows)


def readme(current: str) -> str:
    """The README with its table brought up to date."""
    before, start, rest = current.partition(START)
    _, end, after = rest.partition(END)
    assert start and end, f"README.md has lost its marks {START} and {END}"
    return f"{before}{START}\n{table()}\n{END}{after}"


def expected() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    pages = {ROOT / "docs" / "methods" / f"{name}.md": page(method) for name, method in methods().items()}
    return {**pages, ROOT / "README.md": readme((ROOT / "README.md").read_text(encoding="utf-8"))}


def out_of_date() -> list[str]:
    """Generated files that do not hold what they should, and pages of methods that are gone."""
    wanted = expected()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    gone = [path for path in (ROOT / "docs" / "methods").glob("*.md") if path not in wanted]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*stale, *gone])


def write() -> None:
    """Bring every generated file up to date."""
    wanted = expected()
    folder = ROOT / "docs" / "methods"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")


def _joined(block: str) -> str:
    text = " ".join(block.split())
    return text[:1].upper() + text[1:]


def _listed(block: str) -> str:
    """`name: text` lines, with indented continuations, as a Markdown list."""
    items: list[str] = []
    for line in inspect.cleandoc(block).splitlines():
        if line.startswith(" ") and items:
            items[-1] += f" {line.strip()}"
        else:
            name, _, text = line.partition(":")
            items.append(f"- `{name}`: {text.strip()}")
    return "\n".join(items)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if something is out of date")
    options = parser.parse_args(arguments)
    stale = out_of_date()
    if options.check:
        for name in stale:
            print(f"{name} is out of date: run `python docs/generate.py`")
        return 1 if stale else 0
    write()
    print(f"written: {', '.join(stale)}" if stale else "everything was up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
