"""The house as CONTRIBUTING tells it: two wings, few ways between rooms, small files, a test for every module."""

import ast
import fnmatch
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "keepmap"
MAX_BETWEEN_ROOMS, MAX_LINES, MEDIAN_BELOW, MAX_MODULES = 200, 400, 110, 14
GROUND = {"errors", "core"}
REACHING = {"setattr", "delattr", "getattr", "hasattr", "patch", "import_module"}
OF_OTHERS = {"_repr_html_", "_forward_hooks", "_forward_pre_hooks", "_attn_implementation"}
"""Private by their look, but IPython's, torch's and transformers': there is no other name for them."""


def modules() -> dict[str, Path]:
    """Dotted name -> file; a package's name is that of its __init__."""
    named = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("keepmap", *path.relative_to(PACKAGE).with_suffix("").parts)
        named[".".join(parts).removesuffix(".__init__")] = path
    return named


MODULES = modules()
OWN = sorted(
    name for name, path in MODULES.items() if path.name not in ("__init__.py", "__main__.py")
)  # that have something to test


def room(name: str) -> str:
    """The top-level room that a module stands in; the package itself is the front door."""
    return name.split(".")[1] if "." in name else ""


def imports(name: str) -> set[str]:
    """The package's modules that one of them imports, also inside functions and for type checkers."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
            names.add(node.module)
    packages = {known for known in names if MODULES.get(known, Path()).name == "__init__.py"}
    # `from keepmap.kv import method` is of the module, not of the folder.
    return {known for known in names & set(MODULES) if known not in packages or not _through(known, names)}


def _through(package: str, names: set[str]) -> bool:
    return any(other.startswith(f"{package}.") and other in MODULES for other in names)


def between_rooms() -> list[tuple[str, str]]:
    """Imports from one top-level room into another; the ground floor, on which all stand, is not counted."""
    return [
        (name, other)
        for name in MODULES
        for other in sorted(imports(name))
        if room(name) and room(other) not in GROUND | {"", room(name)}
    ]


def test_few_ways_lead_from_room_to_room() -> None:
    ways = between_rooms()
    assert len(ways) > 50, "the count sees no imports"
    assert len(ways) <= MAX_BETWEEN_ROOMS


def test_the_wings_do_not_know_each_other() -> None:
    wings = {"kv", "agents"}
    assert [(name, other) for name, other in between_rooms() if {room(name), room(other)} == wings] == []


def test_files_are_short() -> None:
    lengths = [len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()]
    assert max(lengths) <= MAX_LINES
    assert statistics.median(lengths) < MEDIAN_BELOW


def test_a_folder_is_one_room() -> None:
    registries = {"methods", "compressors", "sources", "rooms", "drawing"}  # one file per thing; they may grow
    crowded = {
        folder.relative_to(PACKAGE).as_posix(): count
        for folder in {path.parent for path in MODULES.values()}
        if folder.name not in registries
        and (count := sum(path.name != "__init__.py" for path in folder.glob("*.py"))) > MAX_MODULES
    }
    assert crowded == {}


def covered() -> dict[str, list[str]]:
    """Test file -> the patterns of modules that it says it covers, in a literal COVERS."""
    patterns_of = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["COVERS"]:
                patterns_of[path.relative_to(ROOT).as_posix()] = list(ast.literal_eval(node.value))
    return patterns_of


COVERED = covered()


def mirror(name: str) -> Path:
    """Where the test of a module is."""
    path = MODULES[name].relative_to(PACKAGE)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("name", OWN)
def test_a_module_has_a_test_of_its_path_and_name_or_is_named_by_the_one_that_covers_it(name: str) -> None:
    by_pattern = any(fnmatch.fnmatchcase(name, pattern) for patterns in COVERED.values() for pattern in patterns)
    assert mirror(name).is_file() or by_pattern, f"write {mirror(name).relative_to(ROOT)}"


def test_what_is_said_to_be_covered_exists() -> None:
    assert COVERED, "no test file names what it covers"
    idle = [
        (path, pattern)
        for path, patterns in COVERED.items()
        for pattern in patterns
        if not fnmatch.filter(OWN, pattern)
    ]
    assert idle == []


def test_every_test_file_is_of_a_module_or_of_a_whole() -> None:
    # A folder of files of one kind may have a test of them all, of the folder's name, beside it.
    folders = {path.parent.relative_to(PACKAGE) for path in MODULES.values()}
    mirrors = {mirror(name) for name in OWN}
    mirrors |= {ROOT / "tests" / folder.parent / f"test_{folder.name}.py" for folder in folders}
    wholes = ("conformance", "properties", "reference")
    stray = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if path not in mirrors
        and path.parent != ROOT / "tests"
        and path.relative_to(ROOT / "tests").parts[0] not in wholes
        and path.relative_to(ROOT).as_posix() not in COVERED
    ]
    assert stray == []


def test_records_of_many_fields_are_built_by_keywords() -> None:
    positional = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ClassDef):
                continue
            decorators = " ".join(ast.unparse(decorator) for decorator in node.decorator_list)
            fields = [ast.unparse(part.annotation) for part in node.body if isinstance(part, ast.AnnAssign)]
            fields = [annotation for annotation in fields if "ClassVar" not in annotation]
            # A few may be positional where a user would read them without their names.
            before = fields.index("KW_ONLY") if "KW_ONLY" in fields else len(fields)
            if "dataclass" in decorators and "kw_only=True" not in decorators and before >= 6:
                positional.append(f"{name}.{node.name}")
    assert positional == []


def private_names(source: str) -> list[str]:
    """What a test reads, imports or replaces of somebody else's private names, strings of monkeypatch among them."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names += [] if own else [node.attr]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names += [part for alias in node.names for part in alias.name.split(".")]
            names += (getattr(node, "module", None) or "").split(".")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in REACHING:
            texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            names += [part for text in texts if isinstance(text, str) for part in text.split(".")]
    return [name for name in names if re.match("_[^_]", name) and name not in OF_OTHERS]


def test_no_test_reaches_for_a_private_name() -> None:
    reached = {
        path.relative_to(ROOT).as_posix(): names
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if (names := private_names(path.read_text(encoding="utf-8")))
    }
    assert reached == {}


@pytest.mark.parametrize(
    "line",
    [
        "from keepmap.core.files import _sync",
        "import keepmap._hidden",
        "cache._layers",
        "Cache(1)._layers = []",
        "monkeypatch.setattr(module, '_run', None)",
        "monkeypatch.setattr('keepmap.core.files._sync', None)",
        "getattr(cache, '_layers')",
    ],
)
def test_a_private_name_is_noticed(line: str) -> None:
    assert len(private_names(line)) == 1
    assert private_names("self._own = value._repr_html_() + value.__len__() + getattr(value, 'shown')") == []


class Assertions:
    """Which of a test file's functions assert: by a statement, pytest, torch's or numpy's, or a helper that does."""

    def __init__(self, path: Path, source: str | None = None) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8") if source is None else source)
        self._functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self._imported = {
            alias.asname or alias.name: (ROOT / f"{node.module.replace('.', '/')}.py", alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.")
            for alias in node.names
        }

    def silent_tests(self) -> list[str]:
        """The tests that cannot fail but by an accident."""
        return [name for name in self._functions if name.startswith("test_") and not self.asserts(name)]

    def asserts(self, name: str, above: frozenset[str] = frozenset()) -> bool:
        """Whether calling the function can end in an assertion of its own or of a helper."""
        if name in self._imported:
            path, there = self._imported[name]
            return path.is_file() and Assertions(path).asserts(there)
        if name not in self._functions or name in above:
            return False
        for node in ast.walk(self._functions[name]):
            if isinstance(node, ast.Assert):
                return True
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in ("pytest.raises", "pytest.warns", "pytest.fail"):
                    return True
                if called.split(".")[-1].startswith("assert_") or self.asserts(called, above | {name}):
                    return True
        return False


def test_every_test_asserts() -> None:
    silent = {
        path.relative_to(ROOT).as_posix(): names
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if (names := Assertions(path).silent_tests())
    }
    assert silent == {}


def test_a_test_that_asserts_nothing_is_noticed() -> None:
    source = """
def check(x): assert x
def compare(x): check(x)
def run(x): run(x)
def test_by_a_helper(): compare(1)
def test_by_torch(): torch.testing.assert_close(1, 1)
def test_by_pytest():
    with pytest.raises(ValueError): run(1)
def test_nothing(): run(1)
"""
    assert Assertions(ROOT, source).silent_tests() == ["test_nothing"]
