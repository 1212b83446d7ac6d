"""What holds for the whole tree: import directions, light imports, file lengths, docstrings, generated pages."""

import ast
import builtins
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import keepmap
from tests.forked import python

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "keepmap"
HEAVY = (
    *("torch", "transformers", "matplotlib", "numpy", "safetensors", "tokenizers", "rich", "tyro", "jaxtyping"),
    *("gymnasium", "h5py"),
)
WRITTEN = {
    "demo_results",
    "comparison_results",
    "tiny-training",
    "datasets",
    "evaluation_results",
    "figs",
    "runs",
    "study_results",
}  # by commands
SKIPPED = {".git", ".venv", "kvpress-venv", "build", "dist", "__pycache__", *WRITTEN}
MAX_LINES = 400


def python_files() -> list[Path]:
    folders = ("src", "tests", "benchmarks", "docs")
    return sorted([*ROOT.glob("*.py"), *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))])


def text_files() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden_cache = any(part in SKIPPED or part.endswith("_cache") or part == ".hypothesis" for part in parts)
        if path.is_file() and not hidden_cache and path.suffix not in {".png", ".safetensors", ".pyc"}:
            yield path


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    probe = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def module_names() -> list[str]:
    return [
        info.name for info in pkgutil.walk_packages([str(PACKAGE)], "keepmap.") if not info.name.endswith("__main__")
    ]


def linted_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_imports_point_down_the_flow() -> None:
    done = linted_imports(ROOT)
    assert done.returncode == 0, done.stdout
    kept = re.search(r"Contracts: (\d+) kept, 0 broken", done.stdout)
    assert kept and int(kept[1]) == len(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    )


def test_every_folder_is_a_package_that_the_import_check_sees() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_importing_keepmap_is_light() -> None:
    assert loaded_after("import keepmap; dir(keepmap); keepmap.__version__").isdisjoint(HEAVY)


def test_the_error_classes_are_light() -> None:
    assert loaded_after("import keepmap; keepmap.InputError; keepmap.KeepmapError").isdisjoint(HEAVY)


def test_light_import_probe_can_fail() -> None:
    assert "torch" in loaded_after("import keepmap; keepmap.KeepMap")


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"]], ids=" ".join)
def test_help_loads_no_numpy_and_no_torch(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['keepmap', *{arguments!r}]\n"
        "from keepmap.cli import main\n"
        "try: code = main()\n"
        "except SystemExit as exit: code = exit.code\n"
        "assert not code, code"
    )
    assert loaded_after(code).isdisjoint({"numpy", "torch", "transformers", "matplotlib"})


def test_drawing_loads_no_model_code() -> None:
    loaded = loaded_after(
        "import importlib, pkgutil, keepmap.drawing as d\n"
        "[importlib.import_module(i.name) for i in pkgutil.walk_packages(d.__path__, 'keepmap.drawing.')]"
    )
    assert "matplotlib" in loaded
    assert "transformers" not in loaded


def test_methods_load_no_model_code() -> None:
    loaded = loaded_after("from keepmap.kv.method import methods; assert len(methods()) >= 10")
    assert "torch" in loaded
    assert loaded.isdisjoint({"transformers", "matplotlib"})


def test_public_names_are_sorted_and_exist() -> None:
    assert keepmap.__all__ == sorted(keepmap.__all__)
    assert set(keepmap.__all__) <= set(dir(keepmap))
    for name in keepmap.__all__:
        assert getattr(keepmap, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evictt'"):
        _ = keepmap.evictt  # type: ignore[attr-defined]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert keepmap.__version__ == project["version"]
    assert f"version: {keepmap.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## [{keepmap.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("name", module_names())
def test_a_module_has_a_docstring_and_the_names_it_promises(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    assert [public for public in getattr(module, "__all__", ()) if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", module_names())
def test_every_public_function_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    bare = []
    for public, value in vars(module).items():
        if public.startswith("_") or getattr(value, "__module__", None) != name:
            continue
        if inspect.isclass(value):
            bare += [] if value.__doc__ else [public]
            bare += [
                f"{public}.{method}"
                for method, function in vars(value).items()
                if inspect.isfunction(function)
                and not method.startswith("_")
                and not inspect.getdoc(getattr(value, method))
            ]
        elif inspect.isfunction(value):
            bare += [] if value.__doc__ else [public]
    assert bare == []


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_nothing_is_unpickled() -> None:
    forbidden = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert forbidden.isdisjoint(name.split(".")[0] for name in names), path
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in {"torch.load", "torch.save"}, path


def test_only_attention_reaches_into_a_forward_pass() -> None:
    reach = re.compile(r"\b(register_\w*hook|AttentionInterface\.register|set_attn_implementation)\b")
    results = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if reach.search(path.read_text(encoding="utf-8"))
    }
    assert results == {f"attention/passes/{name}.py" for name in ("forward", "encoder", "pieces", "calls")}


def test_no_path_of_a_machine_stands_in_the_tree() -> None:
    machine = re.compile(r"(^|[^\w./-])/(work|farm|home/\w|Users/\w|private|mnt)/|/roo" + r"t/|extra-" + "index", re.M)
    results = [str(path) for path in text_files() if machine.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert results == []


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=\[ ;]", line)[0].replace("-", "_") for line in project["dependencies"]}
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add((node.module or "").split(".")[0])
    imported -= {*sys.stdlib_module_names, "keepmap"}
    called = {"yaml": "pyyaml"}  # whose package has another name
    imported = {called.get(name, name) for name in imported}
    optional = {"stable_baselines3", "pandas", "gguf", "ray"}  # of extras: imported inside a function, with a hint
    assert imported - optional == declared


def test_every_dependency_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [
        name for line in wanted if (name := re.split(r"[<>=]", line)[0].lower().replace("_", "-")) not in pinned
    ] == []
    assert "torch==2.13.0" in (ROOT / "constraints.txt").read_text().splitlines()
    assert "torch==2.13.0" in (ROOT / "Makefile").read_text()


def test_generated_pages_are_up_to_date() -> None:
    done = python("docs/generate.py", "--check", cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def undefined_names(source: str) -> set[str]:
    """Names that a module reads outside of annotations and binds nowhere; F821 stumbles over jaxtyping's shapes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    bound, read = {*dir(builtins), "__file__", "__path__"}, set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.split(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
            case _:
                pass
    return read - bound


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_name_is_defined(path: Path) -> None:
    assert undefined_names(path.read_text(encoding="utf-8")) == set()


def test_an_undefined_name_is_noticed() -> None:
    assert undefined_names("def f(x: Float[Tensor, 'N']):\n    return versions(x)\n") == {"versions"}
