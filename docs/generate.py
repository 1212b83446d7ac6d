"""Write one page per method, compressor, environment, family, source and task from its docstring, and tables of them.

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
from typing import Any

from keepmap.agents.collection.source import Source, sources
from keepmap.agents.compressor import Compressor, compressors
from keepmap.agents.config import KEYS, Config
from keepmap.agents.environments import environments, room_named
from keepmap.agents.environments.room import Room
from keepmap.agents.families import families, make_family
from keepmap.agents.families.family import Family
from keepmap.kv.method import Method, methods
from keepmap.kv.tasks import Task, tasks

sys.path.append(str(Path(__file__).resolve().parent))  # where it is loaded from elsewhere

from pieces import fact_table, link, listed, sentence, table_of, yes_or_no

ROOT = Path(__file__).resolve().parent.parent
START, END = "<!-- methods: written by docs/generate.py -->", "<!-- end of methods -->"
FOLDERS = ("methods", "compressors", "environments", "families", "sources", "tasks")
BLOCKS = ("Attributes", "Raises", "Reference", "Differs from the paper", "Differs from the guide")
NOTE = "<!-- Written by docs/generate.py from {kind} docstring: change that. -->"
NEEDS = {
    "nothing": "nothing",
    "position": "the position's own layer input",
    "prefix": "the prefix so far",
    "held": "what the cache holds at the step",
    "window": "the attention of the last queries to what is held at the step",
    "received": "the attention received so far, in the evicting model",
    "future": "what comes later: an oracle, to measure others by",
}


def default_rule(method: type[Method]) -> str:
    """What decides unless the user says otherwise, as one phrase."""
    if method.threshold is not None:
        return "keeps everything" if method.threshold == float("-inf") else f"threshold {method.threshold:g}"
    by = "" if method.budget_by == "head" else f", by {method.budget_by}"
    return (
        f"budget, density {method.density:g}{by}" if method.density is not None else "budget, density given by the user"
    )


def sections(part: type) -> dict[str, str]:
    """A docstring cut into claim, body and the blocks `Attributes:`, `Reference:`, `Differs from the paper:`, ..."""
    claim, _, rest = inspect.cleandoc(part.__doc__ or "").partition("\n")
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
    facts = [
        ("name", f"`{method.name}`"),
        ("its score needs", NEEDS[method.needs]),
        ("rule by default", default_rule(method)),
        (
            "protected by default",
            "none" if method.name == "baseline" else f"{method.n_sink} sinks, window {method.window}",
        ),
        ("needs a trained surrogate", yes_or_no(method.needs_surrogate)),
    ]
    command = f"keepmap compare --data_path data.jsonl --methods {method.name} --density 0.2"
    trial = ["## Try it", f"    {command}"] if method.name != "baseline" else []
    return _page(
        "the method's", method.label, parts["claim"], fact_table(facts), parts["body"], *_blocks(parts), *trial
    )


def method_table() -> str:
    """The page that lists the methods."""
    return _page(
        "each method's",
        "Methods",
        "What a cache keeps of a text. `keepmap methods` prints this list; "
        "[which one to use](../which-method.md) is a page of its own.",
        table(),
    )


def compressor_page(compressor: type[Compressor]) -> str:
    """The Markdown page of one history compressor."""
    parts, name = sections(compressor), compressor.__name__
    facts = [
        ("name", f"`{compressor.name}`"),
        ("import", f"`from compression_strategies import {name}`"),
        ("by default", f"`{name}({_defaults(compressor)})`"),
        ("how many it keeps", f"`{compressor.length_option}`"),
        ("needs attention", yes_or_no(compressor.needs_attention)),
        ("always keeps the newest", yes_or_no(compressor.keeps_newest)),
        ("remembers beyond the window", yes_or_no(compressor.remembers)),
    ]
    example = ("## Example", f"```python\n{parts['Example']}\n```") if "Example" in parts else ()
    return _page("the compressor's", name, parts["claim"], fact_table(facts), parts["body"], *_blocks(parts), *example)


def compressor_table() -> str:
    """The page that lists the history compressors."""
    rows = [
        (link(name), f"`{compressor.__name__}`", yes_or_no(compressor.needs_attention), sections(compressor)["claim"])
        for name, compressor in compressors().items()
    ]
    return _page(
        "each compressor's",
        "History compressors",
        "What an agent keeps of its history. `keepmap compressors` shows all of them on a real one.",
        table_of(("name", "class", "needs attention", "what is kept"), rows),
    )


def environment_page(environment: type[Room]) -> str:
    """The Markdown page of one environment."""
    claim, _, rest = inspect.cleandoc(environment.__doc__ or "").partition("\n")
    room, gymnasium_id = room_named(environment.name), environment.gymnasium_id
    optima = [room.optimum(goal) for goal in room.goals[:: max(1, len(room.goals) // 1000)]]
    facts = [
        ("name", f"`{environment.name}`"),
        ("import", "`import gymnasium, keepmap.agents.environments`"),
        ("make it", f'`gymnasium.make("{gymnasium_id}")`'),
        (
            "many copies",
            f'`gymnasium.make_vec("{gymnasium_id}", num_envs=8)`: with `goal` for all of them, or with `goals`, one '
            "for each",
        ),
        ("by default", f"{room.size} x {room.size} cells, episodes of {room.horizon} steps"),
        ("goals", f"{len(room.goals):,}"),
        ("return of an agent that knows the goal", f"{min(optima):g} to {max(optima):g}"),
    ]
    trial = ("## Try it", f"    keepmap collect --environment {environment.name}")
    return _page("the environment's", environment.__name__, claim, fact_table(facts), rest.strip(), *trial)


def environment_table() -> str:
    """The page that lists the environments."""
    rows = [
        (
            link(name),
            f"`{environment.gymnasium_id}`",
            f"{len(room_named(name).goals):,}",
            inspect.cleandoc(environment.__doc__ or "").partition("\n")[0],
        )
        for name, environment in environments().items()
    ]
    return _page(
        "each environment's",
        "Environments",
        "The worlds in which an agent learns a hidden goal from its rewards.",
        table_of(("name", "Gymnasium id", "goals", "what is to be done"), rows),
    )


def family_page(family: type[Family]) -> str:
    """The Markdown page of one family of tasks."""
    parts, sample, gymnasium_id = sections(family), make_family(family.name), family.gymnasium_id
    sizes = ", ".join(map(str, sample.observation_sizes))
    facts = [
        ("name", f"`{family.name}`"),
        ("make it", f'`gymnasium.make("{gymnasium_id}", task=3)`'),
        (
            "many copies",
            f'`gymnasium.make_vec("{gymnasium_id}", num_envs=8)`: with `task` for all of them, or with `tasks`, one '
            "for each",
        ),
        ("by default", f"`{family.__name__}({_defaults(family)})`"),
        ("tasks", f"{sample.n_tasks:,}"),
        ("observations, actions", f"`MultiDiscrete([{sizes}])`, `Discrete({sample.n_actions})`"),
    ]
    trial = [
        "## Try it",
        f'```python\nimport keepmap\n\nfamily = keepmap.families()["{family.name}"]()\n'
        "print(family.optimal_return([0]), family.random_return([0]))  # of each episode of a life\n```",
    ]
    name = family.__name__
    return _page("the family's", name, parts["claim"], fact_table(facts), parts["body"], *_blocks(parts), *trial)


def family_table() -> str:
    """The page that lists the families."""
    rows = [
        (link(name), f"`{family.gymnasium_id}`", f"{make_family(name).n_tasks:,}", sections(family)["claim"])
        for name, family in families().items()
    ]
    return _page(
        "each family's",
        "Families of tasks",
        "Tasks that are alike, of which an agent does not know which it lives in; [how to use them](../families.md).",
        table_of(("name", "Gymnasium id", "tasks", "what is to be done"), rows),
    )


def source_page(source: type[Source]) -> str:
    """The Markdown page of one source of learning histories."""
    parts, name = sections(source), source.__name__
    worlds = [name for name, world in {**environments(), **families()}.items() if issubclass(world, source.suits)]
    facts = [
        ("name", f"`{source.name}`"),
        ("worlds", ", ".join(f"`{world}`" for world in worlds)),
        ("by default", f"`{name}({_defaults(source)})`"),
        ("episodes until its learners are near their optimum", f"{source.usual_episodes:,}"),
    ]
    world = "darkroom" if "darkroom" in worlds else worlds[0]
    trial = ("## Try it", f"    keepmap collect --environment {world} --source {source.name}")
    return _page("the source's", name, parts["claim"], fact_table(facts), parts["body"], *_blocks(parts), *trial)


def source_table() -> str:
    """The page that lists the sources of histories."""
    rows = [(link(name), f"{source.usual_episodes:,}", sections(source)["claim"]) for name, source in sources().items()]
    return _page(
        "each source's",
        "Sources of learning histories",
        "Learners whose lives an agent is trained on: `keepmap collect --environment WORLD --source NAME`.",
        table_of(("name", "usual episodes", "how it learns"), rows),
    )


def task_page(task: type[Task]) -> str:
    """The Markdown page of one task."""
    parts, name = sections(task), task.__name__
    scores = {"all": "the share of its answers that is there", "part": "1 where any of its answers is there"}
    facts = [
        ("name", f"`{task.name}`"),
        ("by default", f"`{name}({_defaults(task)})`"),
        ("score", scores[str(task.scoring)]),
        ("new tokens in RULER", str(task.new_tokens)),
    ]
    return _page("the task's", name, parts["claim"], fact_table(facts), parts["body"], *_blocks(parts))


def task_table() -> str:
    """The page that lists the tasks."""
    rows = [(link(name), str(task.scoring), sections(task)["claim"]) for name, task in tasks().items()]
    return _page(
        "each task's",
        "Tasks",
        "Questions with known answers: what `keepmap.run_tasks` and `keepmap.sweep` ask, to see what a method keeps "
        "and what the model can still answer.",
        table_of(("name", "scoring", "what is asked"), rows),
    )


def _defaults(part: Any) -> str:
    return ", ".join(f"{option.name}={option.default!r}" for option in fields(part))


def configuration_page() -> str:
    """The page of every key of the configuration."""
    rows = [
        (f"`{name}`", f"`{value if isinstance(value, str) else json.dumps(value)}`", str(KEYS[name]), KEYS[name].means)
        for name, value in Config().as_dict().items()
    ]
    text = [
        "<!-- Written by docs/generate.py from keepmap.agents.config: change that. -->",
        "# Configuration",
        "Every key that a YAML file or `--set` may give, its default, and what it may hold. An unknown key is an "
        "error, and so is one that cannot act.",
        table_of(("key", "default", "a value is", "what it says"), rows),
    ]
    return "\n\n".join(text) + "\n"


def _page(whose: str, title: str, *parts: str) -> str:
    return "\n\n".join(part for part in (NOTE.format(kind=whose), f"# {title}", *parts) if part) + "\n"


def _blocks(parts: dict[str, str]) -> list[str]:
    text = []
    for name in BLOCKS:
        if name in parts:
            title = {"Attributes": "Parameters", "Raises": "Errors"}.get(name, name)
            text += [f"## {title}", (listed if name in ("Attributes", "Raises") else sentence)(parts[name])]
    return text


def table() -> str:
    """The table of the methods: one row per method, grouped by what its score needs."""
    rows = ["| method | | by default | what is kept |", "|---|---|---|---|"]
    group = None
    for name, method in methods().items():
        if method.needs != group:
            group = method.needs
            rows.append(f"| *score needs {NEEDS[group]}* | | | |")
        claim = sections(method)["claim"].replace("|", r"\|")
        rows.append(f"| {link(name)} | {method.label} | {default_rule(method)} | {claim} |")
    return "\n".join(rows)


def readme_table() -> str:
    """The README's table: the methods by what their score needs."""
    groups: dict[str, list[str]] = {}
    for name, method in methods().items():
        groups.setdefault(NEEDS[method.needs], []).append(f"[`{name}`](docs/methods/{name}.md)")
    return table_of(("its score needs", "methods"), [(needs, ", ".join(names)) for needs, names in groups.items()])


def readme(current: str) -> str:
    """The README with its table brought up to date."""
    before, start, rest = current.partition(START)
    _, end, after = rest.partition(END)
    assert start and end, f"README.md has lost its marks {START} and {END}"
    return f"{before}{START}\n{readme_table()}\n{END}{after}"


def expected() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    docs = ROOT / "docs"
    return {
        **{docs / "methods" / f"{name}.md": page(method) for name, method in methods().items()},
        **{
            docs / "compressors" / f"{name}.md": compressor_page(compressor)
            for name, compressor in compressors().items()
        },
        docs / "methods" / "README.md": method_table(),
        docs / "compressors" / "README.md": compressor_table(),
        **{
            docs / "environments" / f"{name}.md": environment_page(environment)
            for name, environment in environments().items()
        },
        docs / "environments" / "README.md": environment_table(),
        **{docs / "families" / f"{name}.md": family_page(family) for name, family in families().items()},
        docs / "families" / "README.md": family_table(),
        **{docs / "sources" / f"{name}.md": source_page(source) for name, source in sources().items()},
        docs / "sources" / "README.md": source_table(),
        **{docs / "tasks" / f"{name}.md": task_page(task) for name, task in tasks().items()},
        docs / "tasks" / "README.md": task_table(),
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
