"""Write one page per method, history compressor and environment from its docstring, and the tables of them.

python docs/generate.py            write what is out of date
python docs/generate.py --check    say what is out of date, and exit with 1 if anything is
"""

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from keepmap.agents.compressor import Compressor, compressors
from keepmap.agents.config import KEYS, Config
from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.room import Room
from keepmap.kv.method import Method, methods

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- methods: written by docs/generate.py -->", "<!-- end of methods -->"
FOLDERS = ("methods", "compressors", "environments")
BLOCKS = ("Attributes", "Raises", "Reference", "Differs from the paper", "Differs from the guide")
NOTE = "<!-- Written by docs/generate.py from {kind} docstring: change that. -->"
NEEDS = {
    "nothing": "nothing",
    "position": "the position's own layer input",
    "prefix": "the prefix so far",
    "held": "what the cache holds at the step",
    "window": "the attention of the last queries to what is held at the step",
    "received": "the attention received so far, in the evicting model",
}


def default_rule(method: type[Method]) -> str:
    """What decides unless the user says otherwise, as one phrase."""
    if method.threshold is not None:
        return "keeps everything" if method.threshold == float("-inf") else f"threshold {method.threshold:g}"
    return f"budget, density {method.density:g}" if method.density is not None else "budget, density given by the user"


def sections(method: type[Method] | type[Compressor]) -> dict[str, str]:
    """A docstring cut into claim, body and the blocks `Attributes:`, `Reference:`, `Differs from the paper:`, ..."""
    claim, _, rest = inspect.cleandoc(method.__doc__ or "").partition("\n")
    parts = {"claim": claim.strip(), "body": ""}
    current = "body"
    for line in rest.strip().splitlines():
        if line.startswith(">>> "):
            current = "Example"
        head, colon, tail = line.partition(":")
        if colon and head in BLOCKS:
            current = head
            parts[current] = tail.strip()
        else:
            parts[current] = f"{parts[current]}\n{line}" if parts.get(current) else line
    return {name: text.strip("\n") for name, text in parts.items()}


def page(method: type[Method]) -> str:
    """The Markdown page of one method."""
    parts = sections(method)
    protection = "none" if method.name == "baseline" else f"{method.n_sink} sinks, window {method.window}"
    text = [
        NOTE.format(kind="the method's"),
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
    text += _blocks(parts)
    if method.name != "baseline":
        command = f"keepmap compare --data_path data.jsonl --methods {method.name} --density 0.2"
        text += ["## Try it", f"    {command}"]
    return "\n\n".join(part for part in text if part) + "\n"


def compressor_page(compressor: type[Compressor]) -> str:
    """The Markdown page of one history compressor."""
    parts = sections(compressor)
    usual = ", ".join(f"{option.name}={option.default!r}" for option in fields(compressor))
    text = [
        NOTE.format(kind="the compressor's"),
        f"# {compressor.__name__}",
        parts["claim"],
        "\n".join(
            [
                "| | |",
                "|---|---|",
                f"| name | `{compressor.name}` |",
                f"| import | `from compression_strategies import {compressor.__name__}` |",
                f"| by default | `{compressor.__name__}({usual})` |",
                f"| how many it keeps | `{compressor.length_option}` |",
                f"| needs attention | {'yes' if compressor.needs_attention else 'no'} |",
                f"| always keeps the newest | {'yes' if compressor.keeps_newest else 'no'} |",
            ]
        ),
        parts["body"],
        *_blocks(parts),
        *(("## Example", f"```python\n{parts['Example']}\n```") if "Example" in parts else ()),
    ]
    return "\n\n".join(part for part in text if part) + "\n"


def compressor_table() -> str:
    """The page that lists the history compressors."""
    rows = [
        NOTE.format(kind="each compressor's"),
        "# History compressors",
        "What an agent keeps of its history. `keepmap compressors` shows all of them on a real one.",
        "| name | class | needs attention | what is kept |\n|---|---|---|---|",
    ]
    for name, compressor in compressors().items():
        needs = "yes" if compressor.needs_attention else "no"
        rows[-1] += f"\n| [`{name}`]({name}.md) | `{compressor.__name__}` | {needs} | {sections(compressor)['claim']} |"
    return "\n\n".join(rows) + "\n"


def environment_page(environment: type[Room]) -> str:
    """The Markdown page of one environment."""
    claim, _, rest = inspect.cleandoc(environment.__doc__ or "").partition("\n")
    room = room_named(environment.name)
    optima = [room.optimum(goal) for goal in room.goals[:: max(1, len(room.goals) // 1000)]]
    text = [
        NOTE.format(kind="the environment's"),
        f"# {environment.__name__}",
        claim,
        "\n".join(
            [
                "| | |",
                "|---|---|",
                f"| name | `{environment.name}` |",
                "| import | `import gymnasium, keepmap.agents.environments` |",
                f'| make it | `gymnasium.make("{environment.gymnasium_id}")` |',
                f'| many copies | `gymnasium.make_vec("{environment.gymnasium_id}", num_envs=8)`: with `goal` for all '
                "of them, or with `goals`, one for each |",
                f"| by default | {room.size} x {room.size} cells, episodes of {room.horizon} steps |",
                f"| goals | {len(room.goals):,} |",
                f"| return of an agent that knows the goal | {min(optima):g} to {max(optima):g} |",
            ]
        ),
        rest.strip(),
        "## Try it",
        f"    keepmap collect --environment {environment.name}",
    ]
    return "\n\n".join(text) + "\n"


def environment_table() -> str:
    """The page that lists the environments."""
    rows = [
        NOTE.format(kind="each environment's"),
        "# Environments",
        "The worlds in which an agent learns a hidden goal from its rewards.",
        "| name | Gymnasium id | goals | what is to be done |\n|---|---|---|---|",
    ]
    for name, environment in environments().items():
        claim = inspect.cleandoc(environment.__doc__ or "").partition("\n")[0]
        rows[-1] += (
            f"\n| [`{name}`]({name}.md) | `{environment.gymnasium_id}` | {len(room_named(name).goals):,} | {claim} |"
        )
    return "\n\n".join(rows) + "\n"


def configuration_page() -> str:
    """The page of every key of the configuration."""
    rows = [
        "<!-- Written by docs/generate.py from keepmap.agents.config: change that. -->",
        "# Configuration",
        "Every key that a YAML file or `--set` may give, its default, and what it may hold. An unknown key is an "
        "error, and so is one that cannot act.",
        "| key | default | a value is | what it says |\n|---|---|---|---|",
    ]
    for name, value in Config().as_dict().items():
        shown = value if isinstance(value, str) else json.dumps(value)
        rows[-1] += f"\n| `{name}` | `{shown}` | {KEYS[name]} | {KEYS[name].means} |"
    return "\n\n".join(rows) + "\n"


def _blocks(parts: dict[str, str]) -> list[str]:
    text = []
    for name in BLOCKS:
        if name in parts:
            title = {"Attributes": "Parameters", "Raises": "Errors"}.get(name, name)
            text += [f"## {title}", (_listed if name in ("Attributes", "Raises") else _joined)(parts[name])]
    return text


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
    docs = ROOT / "docs"
    return {
        **{docs / "methods" / f"{name}.md": page(method) for name, method in methods().items()},
        **{
            docs / "compressors" / f"{name}.md": compressor_page(compressor)
            for name, compressor in compressors().items()
        },
        docs / "compressors" / "README.md": compressor_table(),
        **{
            docs / "environments" / f"{name}.md": environment_page(environment)
            for name, environment in environments().items()
        },
        docs / "environments" / "README.md": environment_table(),
        docs / "configuration.md": configuration_page(),
        ROOT / "README.md": readme((ROOT / "README.md").read_text(encoding="utf-8")),
    }


def pages() -> list[Path]:
    """The generated pages that there are."""
    return [path for folder in FOLDERS for path in (ROOT / "docs" / folder).glob("*.md")]


def out_of_date() -> list[str]:
    """Generated files that do not hold what they should, and pages of what is gone."""
    wanted = expected()
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    gone = [path for path in pages() if path not in wanted]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*stale, *gone])


def write() -> None:
    """Bring every generated file up to date."""
    wanted = expected()
    for path in pages():
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
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
