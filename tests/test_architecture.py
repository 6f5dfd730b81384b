"""The tree keeps the directions the design gives it."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LAYERS = [
    {"errors"},
    {"_checks", "_launch", "_random"},
    {"config", "adversarial", "shards"},
    {"formats"},
    {"networks", "data", "evaluation"},
    {"training", "manifest"},
    {"class_generators", "bank_folder", "shard_order"},
    {"shard_folder"},
    {"shard_bucket"},
    {"shard_sources"},
    {"generator", "bank"},
    {"mixing", "albumentations"},
    {"experiment"},
    {"auditing"},
    {"terminal", "installation", "mlflow"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}
MAX_LINES = 400
TERMINAL = ("print", "sys.argv", "typer")
GLOBAL_SEEDS = ("torch.manual_seed", "torch.cuda.manual_seed", "np.random.seed", "random.seed")


def part_of(module: str) -> str:
    """Return the package or top file of a dotted module of ganaug."""
    return module.split(".")[1] if "." in module else "__init__"


def walk_at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk all nodes, also inside functions, but none under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from walk_at_run_time(other)
            continue
        yield node
        yield from walk_at_run_time(node)


def imported_modules(source: str) -> Iterator[str]:
    for node in walk_at_run_time(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield "a relative import"
            elif node.module == "ganaug":
                yield from (f"ganaug.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def wrong_imports(part: str, source: str) -> list[str]:
    """Return what `part` imports that is not below it."""
    wrong = []
    for module in imported_modules(source):
        root = module.split(".")[0]
        if root in ("tests", "recipes", "benchmarks", "conftest") or module == "a relative import":
            wrong.append(module)
        if root != "ganaug" or module == "ganaug.__version__":
            continue
        target = part_of(module)
        if target not in RANK or (target != part and RANK[target] >= RANK[part]):
            wrong.append(module)
    return wrong


def dotted_uses(source: str, names: tuple[str, ...]) -> list[str]:
    """Return each use of the dotted names (or imports of them), except under `with ...fork_rng`."""
    found: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(i) for i in node.items):
            return
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in names:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            imported = [f"{module}.{a.name}" if module else a.name for a in node.names]
            found.extend(f"line {node.lineno}: {i}" for i in (module, *imported) if i in names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(source))
    return found


def source_files(package: Path) -> list[tuple[str, Path]]:
    return [
        (path.relative_to(package).parts[0].removesuffix(".py"), path)
        for path in sorted(package.rglob("*.py"))
    ]


def test_each_file_belongs_to_a_layer(package: Path) -> None:
    assert {part for part, _ in source_files(package)} <= RANK.keys() | {"__init__"}


def test_imports_point_down_only(package: Path) -> None:
    wrong = {
        str(path): found
        for part, path in source_files(package)
        if part != "__init__" and (found := wrong_imports(part, path.read_text()))
    }
    assert wrong == {}


def test_the_top_module_imports_nothing_of_its_own_when_it_is_loaded(package: Path) -> None:
    modules = list(imported_modules((package / "__init__.py").read_text()))
    assert modules
    assert not [m for m in modules if m.startswith("ganaug")]


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("data", "from ganaug.training.loop import train"),
        ("data", "from ganaug.networks import NETWORKS"),
        ("bank", "def f():\n    from ganaug.generator import load"),
        ("training", "import ganaug.generator"),
        ("errors", "from ganaug._checks import listed"),
        ("mixing", "from ganaug import compare"),
        ("mixing", "from . import fill"),
        ("cli", "import benchmarks.digits"),
        ("config", "if TYPE_CHECKING:\n    import ganaug.cli\nelse:\n    import ganaug.cli"),
    ],
)
def test_the_import_check_finds_a_wrong_import(part: str, source: str) -> None:
    assert len(wrong_imports(part, source)) == 1


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("bank", "if TYPE_CHECKING:\n    from ganaug.generator import load"),
        ("training", "from ganaug.training.state import GANState"),
        ("mixing", "from ganaug.bank import SampleBank\nimport torch"),
    ],
)
def test_the_import_check_accepts_a_right_import(part: str, source: str) -> None:
    assert wrong_imports(part, source) == []


def test_only_the_command_line_talks_to_the_terminal(package: Path) -> None:
    wrong = {
        str(path): found
        for part, path in source_files(package)
        if part not in ("cli", "commands", "__main__") and (found := dotted_uses(path.read_text(), TERMINAL))
    }
    assert wrong == {}


def test_global_random_state_is_never_set(package: Path) -> None:
    wrong = {
        str(path): found
        for _, path in source_files(package)
        if (found := dotted_uses(path.read_text(), GLOBAL_SEEDS))
    }
    assert wrong == {}


def test_the_use_check_finds_prints_and_seeds_but_not_forked_ones() -> None:
    assert dotted_uses("def f():\n    print(1)", TERMINAL) == ["line 2: print"]
    assert dotted_uses("import typer", TERMINAL) == ["line 1: typer"]
    assert dotted_uses("import sys\nx = sys.argv[1]", TERMINAL) == ["line 2: sys.argv"]
    assert dotted_uses("np.random.seed(0)", GLOBAL_SEEDS) == ["line 1: np.random.seed"]
    assert dotted_uses("from torch import manual_seed", GLOBAL_SEEDS) == ["line 1: torch.manual_seed"]
    forked = "with torch.random.fork_rng(devices=[]):\n    torch.manual_seed(0)"
    assert dotted_uses(forked, GLOBAL_SEEDS) == []


def test_files_stay_short_enough_to_read(package: Path) -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for _, path in source_files(package)}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


HEAVY = {"mlflow", "typer", "albumentations", "torchvision", "pandas", "matplotlib"}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import ganaug", {*HEAVY, "torch", "sklearn"}),
        ("import ganaug.cli", {*HEAVY, "torch", "sklearn", "numpy"} - {"typer"}),
        ("from ganaug import ConditionalGAN, SampleBank", HEAVY - {"pandas"}),
    ],
)
def test_an_import_loads_only_what_it_needs(statement: str, unwanted: set[str]) -> None:
    code = f"import sys; {statement}; print(*{{m.split('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert unwanted & set(run.stdout.split()) == set()


def test_each_benchmark_finds_what_it_imports() -> None:
    root = Path(__file__).parents[1]
    code = "import runpy, sys\nfor path in sys.argv[1:]: runpy.run_path(path, run_name='imported')"
    paths = {**os.environ, "PYTHONPATH": str(root / "benchmarks")}
    programs = map(str, sorted((root / "benchmarks").glob("*.py")))
    subprocess.run([sys.executable, "-c", code, *programs], env=paths, check=True, cwd=root)
