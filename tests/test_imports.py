"""The rooms: imports run one way, in the order declared here, without a circle and without private names."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = (
    "errors",
    "version",
    "progress",
    "threads",
    "memory",
    "limits",
    "arguments",
    "backend",
    "files",
    "domain",
    "networks",
    "linalg",
    "validation.finite_difference",
    "problem",
    "discretization",
    "analysis",
    "checking",
    "inverse",
    "output",
    "methods",
    "training",
    "fitting",
    "planning",
    "running",
    "operators",
    "",  # the package itself: the names that it exports are looked up when they are used
    "problems",
    "validation",
    "cli",
    "__main__",
)
"""The rooms from the lowest: each imports from itself and from those before it."""


def modules() -> dict[str, Path]:
    """Dotted name in the package -> file; a package by its own name."""
    found = {}
    for folder, prefix in (
        (ROOT / "repnet_pde", ()),
        (ROOT / "problems", ("problems",)),
        (ROOT / "validation", ("validation",)),
    ):
        for path in folder.rglob("*.py"):
            if folder.name == "repnet_pde" and path.relative_to(folder).parts[0] in ("problems", "validation"):
                continue  # links of an installed checkout
            parts = (*prefix, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """The room of a module, the longest name in `ORDER` that begins its own."""
    return max((name for name in ORDER if module == name or module.startswith(f"{name}.")), key=len, default="")


def imported(module: str) -> list[tuple[str, str]]:
    """(module, name) of everything that a module imports from the package, also inside of functions."""
    path, found = MODULES[module], []
    here = module.split(".") if module else []
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = package[: len(package) - (node.level - 1)]
            source = ".".join([*base, *([node.module] if node.module else [])])
        elif (node.module or "").partition(".")[0] == "repnet_pde":
            source = node.module.partition(".")[2]
        else:
            continue
        for alias in node.names:
            whole = f"{source}.{alias.name}".strip(".")
            found.append((whole, "") if whole in MODULES else (source, alias.name))
    return found


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_goes_up_and_none_is_private(module):
    own = room(module)
    for source, name in imported(module):
        assert source in MODULES, f"{module} imports {name} from {source}, which is not there"
        other = room(source)
        assert ORDER.index(other) <= ORDER.index(own), f"{module} ({own}) imports {source} ({other})"
        private = [part for part in (*source.split("."), name) if part.startswith("_") and not part.startswith("__")]
        assert not private or source.rpartition(".")[0] == module.rpartition(".")[0], f"{module}: {source}.{name}"


def test_every_room_is_declared():
    top = {module.partition(".")[0] for module in MODULES}
    assert top == {name.partition(".")[0] for name in ORDER}


def test_no_circle():
    arrows = {module: {source for source, _ in imported(module) if source != module} for module in MODULES}
    done: set[str] = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for source in arrows[module]:
                visit(source, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])


def test_linear_algebra_and_references_know_no_deepxde():
    for module, path in MODULES.items():
        if room(module) in ("linalg", "validation.finite_difference"):
            names = [n for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for n in _roots(node)]
            allowed = {"deepxde"} if room(module) == "linalg" else {"deepxde", "torch"}
            assert not allowed & set(names) and ("backend", "dde") not in imported(module), module


def _roots(node) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    return [(node.module or "").partition(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_validation_is_asked_in_one_place():
    """The package itself asks for references in `problem.references` only; the command line may import all."""
    asking = {
        module
        for module in MODULES
        if room(module) not in ("validation", "validation.finite_difference", "problems", "cli")
        and any(source.startswith("validation") for source, _ in imported(module))
    }
    assert asking == {"problem.references"}


MOST_LINES, MOST_OF_A_CLASS, MOST_PARAMETERS = 60, 250, 8


@pytest.mark.parametrize("module", sorted(MODULES))
def test_functions_and_classes_are_short(module):
    """A function's lines are counted without its docstring; parameters are those that may be given by position."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            assert node.end_lineno - node.lineno < MOST_OF_A_CLASS, f"{module}.{node.name}"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            text = node.body[0] if ast.get_docstring(node, clean=False) else None
            lines = node.end_lineno - node.lineno + 1 - (0 if text is None else text.end_lineno - text.lineno + 1)
            assert lines <= MOST_LINES, f"{module}.{node.name} has {lines} lines"
            own = [a for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            assert len(own) <= MOST_PARAMETERS, f"{module}.{node.name} has {len(own)} parameters"


def test_no_method_is_compared_by_its_name_as_text():
    """Nothing outside the table and a method's own file says ``== "joint"`` or ``in ("adam", ...)``."""
    from repnet_pde.methods import METHODS

    for module, path in MODULES.items():
        if room(module) in ("problems", "validation") or module.startswith("methods."):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
                assert not set(texts) & set(METHODS), f"{module}, line {node.lineno}"


def test_nothing_depends_on_a_part_of_a_message():
    """No exception is told apart by its text."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare) and any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
                for side in node.comparators:
                    text = ast.unparse(side)
                    assert not (text.startswith("str(") and "error" in text), f"{module}, line {node.lineno}"
