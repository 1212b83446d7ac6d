"""What the documents show is run as it stands: README's example, CONTRIBUTING's method, the generated pages."""

import importlib.util
import inspect
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from keepmap.agents.compressor import compressors
from keepmap.agents.environments import environments
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


def test_the_readmes_example_runs(tmp_path: Path) -> None:
    printed = run(python_blocks("README.md")[0], tmp_path).splitlines()
    assert re.fullmatch(r"Damage\(\+0\.\d{4} nats per token: NLL .*, n=\d+\)", printed[0])
    assert re.fullmatch(r"torch\.Size\(\[\d+, 512\]\)", printed[1])
    density, compressible, footprint = map(float, printed[2].split())
    assert 0 < compressible < density < footprint < 1
    assert abs(compressible - 0.2) < 0.01
    assert (tmp_path / "expected_attention.keepmap").is_file()
    overlap, by_chance = map(float, printed[4].split())
    assert 0 < by_chance < overlap < 1
    assert printed[5].startswith("Comparison: ") and "method" in printed[-1]


def test_the_readmes_profile_follows_from_its_first_example(tmp_path: Path) -> None:
    first, *_ = python_blocks("README.md")
    (profile,) = (block for block in python_blocks("README.md") if "profile_attention" in block)
    printed = run(first + profile, tmp_path).splitlines()
    assert printed[-2].startswith("AttentionProfile(tiny: 2 layers x 4 heads x ")
    received, mass = printed[-1].removeprefix("torch.Size(").removesuffix(")").split(") torch.Size(")
    assert received == mass


def test_the_readmes_agent_plays(tmp_path: Path) -> None:
    blocks = [block for block in python_blocks("README.md") if "agent." in block or "load_agent" in block]
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
    (tmp_path / "value_norm.py").write_text(python_blocks("CONTRIBUTING.md")[0], encoding="utf-8")
    code = f"""
import importlib.util, sys
import torch
import keepmap
import keepmap.kv.methods as kv

kv.__path__.append({str(tmp_path)!r})
from keepmap.kv.method import method_names
assert "value_norm" in method_names(), method_names()
language_model = keepmap.load_language_model("tiny", device="cpu")
ids = torch.arange(200) % language_model.vocab_size
found = keepmap.evict(language_model, ids, "value_norm", window=16)
assert abs(found.keep_map.compressible_density() - 0.2) < 0.01, found.keep_map
assert found.keep_map.info["rule"] == "budget"
spec = importlib.util.spec_from_file_location("docs_generate", {str(ROOT / "docs" / "generate.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.page(keepmap.kv.method.method_class("value_norm")))
"""
    page = run(code, tmp_path)
    assert "# ValueNorm" in page
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


def test_the_readme_names_every_method_once() -> None:
    table = generator().table()
    assert [table.count(f"[`{name}`](docs/methods/{name}.md)") for name in method_names()] == [1] * len(method_names())


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
