"""What the documents show is run as it stands: README's example, CONTRIBUTING's method, the generated pages."""

import importlib.util
import inspect
import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

import keepmap
from keepmap.agents.collection.source import sources
from keepmap.agents.compressor import compressors
from keepmap.agents.environments import environments
from keepmap.agents.families import families
from keepmap.cli.parsing import parse
from keepmap.errors import InputError
from keepmap.kv.method import method_class, method_names
from keepmap.language_model import EMBEDDED
from tests.forked import python

ROOT = Path(__file__).resolve().parent.parent


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python_blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text(encoding="utf-8"), re.M | re.S)


def run(code: str, folder: Path) -> str:
    done = python("-W", "error", "-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_is_short_and_its_example_has_ten_lines(tmp_path: Path) -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
    (code,) = python_blocks("README.md")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    printed = run(code, tmp_path)
    assert printed.startswith("KeepMap(") and "\nDamage(+" in printed and "\nComparison: " in printed
    assert "\nMethodSuggestion(" in printed


def test_the_example_of_python_runs(tmp_path: Path) -> None:
    printed = run(python_blocks("docs/python.md")[0], tmp_path).splitlines()
    assert re.fullmatch(r"Damage\(\+0\.\d{4} nats per token: NLL .*, n=\d+\)", printed[0])
    assert re.fullmatch(r"torch\.Size\(\[\d+, 512\]\)", printed[1])
    density, compressible, footprint = map(float, printed[2].split())
    assert 0 < compressible < density < footprint < 1
    assert abs(compressible - 0.2) < 0.01
    assert (tmp_path / "expected_attention.keepmap").is_file()
    overlap, by_chance = map(float, printed[4].split())
    assert 0 < by_chance < overlap < 1
    assert printed[5].startswith("Comparison: ") and "method" in printed[-1]


def test_the_profile_of_python_follows_from_its_first_example(tmp_path: Path) -> None:
    first, *_ = python_blocks("docs/python.md")
    (profile,) = (block for block in python_blocks("docs/python.md") if "profile_attention" in block)
    printed = run(first + profile, tmp_path).splitlines()
    assert printed[-2].startswith("AttentionProfile(tiny: 2 layers x 4 heads x ")
    received, mass = printed[-1].removeprefix("torch.Size(").removesuffix(")").split(") torch.Size(")
    assert received == mass


def test_the_agent_of_python_plays(tmp_path: Path) -> None:
    blocks = [block for block in python_blocks("docs/python.md") if "agent." in block or "load_agent" in block]
    assert len(blocks) == 2
    printed = run("".join(blocks), tmp_path)
    returns = [float(line) for line in printed.splitlines()]
    assert len(returns) == 2 and all(0 <= mean <= 20 for mean in returns)


def test_the_examples_of_the_cache_run(tmp_path: Path) -> None:
    printed = run("".join(python_blocks("docs/cache.md")), tmp_path).splitlines()
    assert re.fullmatch(r"CacheReport\(\d+ tokens: .* held, .* at the peak; .* without eviction\)", printed[0])
    assert printed[1] == "True" and printed[2].endswith("tokens seen) True")


def test_the_example_of_generate_runs(tmp_path: Path) -> None:
    first, report, density = run("".join(python_blocks("docs/generate.md")), tmp_path).splitlines()
    ours, full, divergence = first.split()
    assert full == "4821." != ours and int(divergence) >= 0
    assert report.startswith("CacheReport(") and abs(float(density) - 0.2) < 0.02


def test_the_example_of_the_first_page_runs(tmp_path: Path) -> None:
    printed = run(python_blocks("docs/index.md")[0], tmp_path).splitlines()
    assert printed[0].startswith("Comparison: ")
    assert re.fullmatch(r"torch\.Size\(\[2, 4, \d+\]\)", printed[-2]) and printed[-1].startswith("Damage(")


def test_the_integration_of_the_compression_guide_works_as_written(tmp_path: Path) -> None:
    (code,) = python_blocks("COMPRESSION_GUIDE.md")
    (tmp_path / "compression_strategies.py").write_bytes((ROOT / "compression_strategies.py").read_bytes())
    assert run(code, tmp_path) == "torch.Size([8, 5])\n"


def test_the_examples_of_the_guides_to_pictures_run(tmp_path: Path) -> None:
    look, own = python_blocks("ATTENTION_VISUALIZATION_GUIDE.md")
    (draw,) = python_blocks("VISUALIZATION_SUMMARY.md")
    printed = run(look + own + draw, tmp_path)
    assert printed.startswith("AttentionProfile(tiny: 2 layers x 4 heads x ") and "KeepMap(" in printed
    assert "AttentionProfile(tiny: 4 layers x 4 heads x 4 positions" in printed
    assert {path.name for path in (tmp_path / "figs").iterdir()} == {"heads.png", "h2o.png", "h2o.svg"}


def test_the_example_of_own_histories_runs(tmp_path: Path) -> None:
    (code,) = python_blocks("docs/agents.md")
    assert run(code, tmp_path) == "((0, 2),) 20\n"


def test_the_example_of_families_runs(tmp_path: Path) -> None:
    code, life = python_blocks("docs/families.md")
    assert run(code + "print(envs.num_envs, env.spec.id)", tmp_path) == "8 keepmap/Bandit-5-v0\n"
    run(life, tmp_path)
    assert (tmp_path / "figs" / "trajectory.png").exists()


def test_the_summary_names_every_figure() -> None:
    text = (ROOT / "VISUALIZATION_SUMMARY.md").read_text(encoding="utf-8")
    chapter = text[text.index("## Every figure") :]
    assert [name for name in dir(keepmap.draw) if f"`{name}`" not in chapter] == []


SCRIPTS = {
    "visualize_attention": "attention",
    "compression_strategies": "compressors",
    "compare_compression_methods": "compare",
    **{verb: verb for verb in ("collect", "train", "evaluate")},
}
"""Programs beside the README, and the verbs that they are."""


def commands() -> list[tuple[str, str]]:
    """Document and line of every command that a block of it shows, long lines joined."""
    shown = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        blocks = re.findall(r"(?:^    .*\n?)+|^```(?:bash|sh)\n.*?^```", path.read_text(encoding="utf-8"), re.M | re.S)
        for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+#.*", "", line.strip())
            if re.match(r"keepmap [a-z-]+($| )|python \w+\.py($| )", command) and "…" not in command:
                shown.append((path.relative_to(ROOT).as_posix(), command))
    return shown


def test_a_command_stands_in_a_block() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        assert re.findall(r"^(?:keepmap [a-z-]+ +(?:#|--)|python \w+\.py).*", text, re.M) == [], path.name


def test_every_command_in_the_documents_is_understood() -> None:
    shown = commands()
    assert len(shown) > 60
    for document, command in shown:
        program, *words = shlex.split(command)
        if program == "python":
            script = words.pop(0).removesuffix(".py")
            assert (ROOT / f"{script}.py").is_file(), f"{document}: {command}"
            if script not in SCRIPTS:
                continue
            words.insert(0, SCRIPTS[script])
        try:
            assert parse(words) is not None
        except (InputError, SystemExit) as error:
            pytest.fail(f"{document}: {command}: {error}")


def test_the_pictures_of_the_concepts_are_drawn_by_their_command(tmp_path: Path) -> None:
    done = python(str(ROOT / "docs" / "pictures.py"), str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"\(images/(concept_\w+\.png)\)", (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {*shown} and len(shown) == 4


@pytest.mark.parametrize("name", sorted(families()))
def test_a_familys_page_says_all_that_its_docstring_says_and_its_example_runs(name: str) -> None:
    module = generator()
    page = module.family_page(families()[name])
    _check_words(families()[name].__doc__, page)
    assert f"[`{name}`]({name}.md)" in module.family_table()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code, {})  # noqa: S102 - of the page that was just written


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_sources_page_says_all_that_its_docstring_says(name: str) -> None:
    module = generator()
    _check_words(sources()[name].__doc__, module.source_page(sources()[name]))
    assert f"[`{name}`]({name}.md)" in module.source_table()


def _check_words(docstring: str | None, page: str) -> None:
    words = re.sub(r"^\s*(Attributes|Reference|Raises):", "", docstring or "", flags=re.M)
    written = page.replace("`", "").replace(":", " ").lower().split()
    assert {word for word in words.replace("`", "").replace(":", " ").lower().split() if word not in written} == set()


def test_the_house_is_told_on_one_page() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    chapter = text[text.index("## The house") : text.index("## Add a method")]
    assert len(chapter.splitlines()) <= 60
    ways = chapter.split("\n### The way of ")[1:]
    assert len(ways) == 2
    for way in ways:
        steps = re.findall(r"^\d+\. .*", way, re.MULTILINE)
        assert 8 <= len(steps) <= 12 and [int(step.split(".")[0]) for step in steps] == [*range(1, len(steps) + 1)]
        paths = [path for step in steps for path in re.findall(r"`([\w/]+/[\w.]*)`", step)]
        assert all((ROOT / "src" / "keepmap" / path).exists() for path in paths)
        # Data never comes back: no file is named twice, and no folder again after it was left.
        rooms = [path if path.count("/") == 1 else path.rpartition("/")[0] for path in paths]
        entered = [room for at, room in enumerate(rooms) if room not in rooms[at - 1 : at]]
        assert len(entered) == len({*entered}) and len(paths) == len({*paths})


def test_the_method_in_contributing_is_found_runs_and_gets_a_page(tmp_path: Path) -> None:
    (tmp_path / "value_power.py").write_text(python_blocks("CONTRIBUTING.md")[0], encoding="utf-8")
    code = f"""
import importlib.util, sys
import torch
import keepmap
import keepmap.kv.methods as kv

kv.__path__.append({str(tmp_path)!r})
from keepmap.kv.method import method_names
assert "value_power" in method_names(), method_names()
language_model = keepmap.load_language_model("tiny", device="cpu")
ids = torch.arange(200) % language_model.vocab_size
found = keepmap.evict(language_model, ids, "value_power", window=16)
assert abs(found.keep_map.compressible_density() - 0.2) < 0.01, found.keep_map
assert found.keep_map.info["rule"] == "budget"
spec = importlib.util.spec_from_file_location("docs_generate", {str(ROOT / "docs" / "generate.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.page(keepmap.kv.method.method_class("value_power")))
"""
    page = run(code, tmp_path)
    assert "# ValuePower" in page
    assert "| rule by default | budget, density 0.2 |" in page
    assert "- `power`: the norm is raised to this power." in page


@pytest.mark.parametrize("name", method_names())
def test_a_methods_page_says_all_that_its_docstring_says(name: str) -> None:
    module = generator()
    page = " ".join(module.page(method_class(name)).split())
    words = re.sub(
        r"^\s*(Attributes|Reference|Differs from the paper):", "", method_class(name).__doc__ or "", flags=re.M
    )
    missing = {word for word in words.replace(":", " ").split() if word.lower() not in page.replace(":", " ").lower()}
    assert missing == set()


@pytest.mark.parametrize("name", sorted(environments()))
def test_an_environments_page_says_all_that_its_docstring_says(name: str) -> None:
    module = generator()
    environment = environments()[name]
    page = module.environment_page(environment)
    claim, _, rest = inspect.cleandoc(environment.__doc__ or "").partition("\n")
    assert claim in page and rest.strip() in page
    assert f'gymnasium.make("{environment.gymnasium_id}")' in page
    assert f"[`{name}`]({name}.md)" in module.environment_table()


@pytest.mark.parametrize("name", sorted(compressors()))
def test_a_compressors_page_says_all_that_its_docstring_says(name: str) -> None:
    module = generator()
    docstring = compressors()[name].__doc__ or ""
    page = module.compressor_page(compressors()[name]).replace("`", "").replace(":", " ").lower().split()
    words = re.sub(r"^\s*(Attributes|Raises|Reference|Differs from the guide):", "", docstring, flags=re.M)
    assert {word for word in words.replace("`", "").replace(":", " ").lower().split() if word not in page} == set()
    assert f"[`{name}`]({name}.md)" in module.compressor_table()


def test_the_readme_and_the_list_of_methods_name_every_method_once() -> None:
    text, listing = (ROOT / "README.md").read_text(encoding="utf-8"), generator().method_table()
    for name in method_names():
        assert text.count(f"[`{name}`](docs/methods/{name}.md)") == listing.count(f"[`{name}`]({name}.md)") == 1


def test_a_stale_page_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = generator()
    (tmp_path / "README.md").write_text(f"{module.START}\n{module.END}\n", encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    module.write()
    assert module.out_of_date() == []
    (tmp_path / "docs" / "methods" / "random.md").write_text("old\n", encoding="utf-8")
    (tmp_path / "docs" / "methods" / "gone.md").write_text("gone\n", encoding="utf-8")
    (tmp_path / "docs" / "compressors" / "recency.md").unlink()
    (tmp_path / "README.md").write_text(f"{module.START}\nold\n{module.END}\n", encoding="utf-8")
    assert module.out_of_date() == [
        "README.md",
        "docs/compressors/recency.md",
        "docs/methods/gone.md",
        "docs/methods/random.md",
    ]
    assert module.main(["--check"]) == 1


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_benchmarks_time_the_embedded_models_shape() -> None:
    spec = importlib.util.spec_from_file_location("shapes", ROOT / "benchmarks" / "shapes.py")
    assert spec is not None
    assert spec.loader is not None
    shapes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(shapes)
    config = json.loads((EMBEDDED["tiny"] / "config.json").read_text(encoding="utf-8"))
    assert {name: config[name] for name in shapes.TINY} == shapes.TINY
