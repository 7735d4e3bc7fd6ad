"""Problems by name or by file: `catalogue` lists those of the package, `load_problem` creates one."""

import ast
import hashlib
import importlib.util
import inspect
import json
import math
import operator
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import InputError, RepNetPDEError, choose

if TYPE_CHECKING:  # which imports torch
    from .problem import Problem

MEASURED = "measured.json"
"""File next to the problems: name -> error, written by `repnet_pde.validation.campaigns.measured`."""


@dataclass(frozen=True)
class Entry:
    """A problem of the catalogue, read from its file without running it.

    Attributes:
        name: for `load_problem`.
        title: the first line of its docstring.
        equation: the complete docstring.
        parameters: name -> default value.
        path: its file.
        measured: the error of its solution in the last full validation, relative L2 or of the unknowns, or None.
    """

    name: str
    title: str
    equation: str
    parameters: dict[str, float]
    path: Path
    measured: float | None = None


def folder() -> Path:
    """Where the catalogue's files are: installed as repnet_pde.problems."""
    spec = importlib.util.find_spec("repnet_pde.problems")
    if spec is None or spec.origin is None:
        raise RepNetPDEError("the catalogue repnet_pde.problems is not installed; install the package again")
    return Path(spec.origin).parent


def catalogue() -> dict[str, Entry]:
    """Every problem of the package by name. Neither torch nor DeepXDE is imported."""
    measured = json.loads((folder() / MEASURED).read_text(encoding="utf-8"))
    return {name: _entry(path, measured.get(name)) for name, path in _files().items()}


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder().glob("[!_]*.py"))}


def _entry(path: Path, measured: float | None) -> Entry:
    module = ast.parse(path.read_text(encoding="utf-8"))
    equation = ast.get_docstring(module) or ""
    (function,) = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "problem")
    names = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
    defaults = [*function.args.defaults, *function.args.kw_defaults]
    parameters = {name: _arithmetic(d) for name, d in zip(names[-len(defaults) :], defaults, strict=True) if d}
    return Entry(path.stem, equation.partition("\n")[0].rstrip("."), equation, parameters, path, measured)


_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _arithmetic(node: ast.expr) -> float:
    """The value of a default such as ``0.01 / math.pi``."""
    match node:
        case ast.Constant(value=float() | int() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_arithmetic(operand)
        case ast.Attribute(attr="pi"):
            return math.pi
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_arithmetic(left), _arithmetic(right))
    raise ValueError(f"a default of problem() is not plain arithmetic: {ast.unparse(node)}")


def locate(name_or_path: str | Path) -> tuple[str, Path]:
    """The name and the file of a problem; `InputError` lists the names of the catalogue."""
    text = str(name_or_path)
    path = Path(text).expanduser()
    entries = _files()
    if path.suffix == ".py" or len(path.parts) > 1 or (path.exists() and text not in entries):
        if not path.is_file():
            raise InputError(f"problem: there is no file {text!r}")
        if path.suffix != ".py":
            raise InputError(f"problem: {text!r} is not a Python file (.py)")
        return path.stem, path.resolve()
    choose("problem", text, entries)
    return text, entries[text]


def load_problem(name_or_path: str | Path, /, *, dtype: str = "float64", **parameters: Any) -> "Problem":
    """Create the `Problem` of a catalogue name or of a user's file.

    Args:
        name_or_path: a name that `catalogue` lists, or the path of a Python file that defines
            ``problem(**parameters) -> Problem``. Modules beside the file can be imported by it.
        dtype: "float64" or "float32"; becomes DeepXDE's default float permanently, because geometry, points and
            networks must share it.
        **parameters: passed to ``problem``: finite numbers, text, True, False, None, or sequences of these, of the kind
            of its defaults.

    Raises:
        InputError: an unknown name (the message lists the right ones), a parameter that the problem does not have
            (lists its own), a file without ``problem``, or one that raises (says which file, line and why).
    """
    from ..backend import on_cpu, set_precision

    name, path = locate(name_or_path)
    set_precision(dtype)
    with on_cpu():
        return _loaded(name, path, dtype, parameters)


def _loaded(name: str, path: Path, dtype: str, parameters: dict[str, Any]) -> "Problem":
    from .problem import Problem

    module = _module(path)
    function = getattr(module, "problem", None)
    if not callable(function):
        raise InputError(f"problem: {path} does not define a function problem() that returns a repnet_pde.Problem")
    given, values = _arguments(name, function, parameters)
    problem = _run(path, function, **given)
    if not isinstance(problem, Problem):
        raise InputError(f"problem: problem() in {path} returned {type(problem).__name__}, not a repnet_pde.Problem")
    if problem.dtype != dtype:
        raise InputError(f"problem: {path} changed DeepXDE's default float to {problem.dtype}; give dtype instead")
    if isinstance(problem.reference, str):
        _reference_arguments(problem.reference, values)
    problem._set(name=name, parameters=values, source=str(path))
    return problem


def source_digest(path: str | Path) -> str:
    """SHA-256 of a problem's file, to check that a run is resumed with the same problem."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _module(path: Path) -> ModuleType:
    for name in _beside:  # those of another file's folder, or as they were before they were edited
        sys.modules.pop(name, None)
    _beside.clear()
    spec = importlib.util.spec_from_file_location(f"repnet_pde_problem_{path.stem}", path)
    assert spec is not None and spec.loader is not None, path  # as of every file *.py
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickle look their module up here
    _run(path, spec.loader.exec_module, module)
    return module


def _run(path: Path, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``function`` from the file with the file's folder importable; an exception says where it was raised."""
    sys.path.insert(0, str(path.parent))
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        return function(*args, **kwargs)
    except InputError as error:
        raise InputError(f"{path.name}: {error}") from error
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError) and error.filename == str(path):
            line, message = error.lineno, error.msg
        else:
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
            line, message = (lines[-1] if lines else None), " ".join(str(error).split())
        where = f"{path.name}, line {line}" if line else path.name
        raise InputError(f"{where}: {type(error).__name__}: {message}") from error
    finally:
        sys.path.remove(str(path.parent))
        _beside.update(name for name in set(sys.modules) - before if _lies_in(sys.modules[name], path.parent))


_beside: set[str] = set()
"""Names of the modules that the last problem's file imported from its own folder."""


def _lies_in(module: ModuleType, directory: Path) -> bool:
    """Whether a module is a file of the directory, or belongs to a package that lies there: no installed one below."""
    file, top = getattr(module, "__file__", None), module.__name__.partition(".")[0]
    return file is not None and (directory / f"{top}.py" == Path(file) or directory / top in Path(file).parents)


def _arguments(name: str, function: Callable[..., Any], given: dict) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters given, and all with their values; raises for one that ``function`` does not have or that cannot
    be stored."""
    from .parameters import checked, text

    empty, found = inspect.Parameter.empty, {}
    known = inspect.signature(function).parameters
    own = {key: p.default for key, p in known.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for key, value in given.items():
        if key not in own and not open_ended:
            listed = ", ".join(k if v is empty else text({k: v}) for k, v in own.items()) or "none"
            raise InputError(f"parameter {key!r}: {name} does not have it; its parameters: {listed}")
        default = own.get(key)
        found[key] = checked(key, value, None if default is empty else default)
    missing = [key for key, default in own.items() if default is empty and key not in given]
    if missing:
        raise InputError(f"parameter {missing[0]!r}: {name} needs a value for it")
    return found, {**own, **found}


def _reference_arguments(reference: str, values: dict) -> None:
    from . import references  # SciPy is not needed to list the catalogue

    missing = [key for key in references.arguments(reference) if key not in values]
    if missing:
        raise InputError(
            f"reference: {reference!r} needs the parameter(s) {', '.join(missing)}, which problem() does not have; "
            "pass a function that calls it instead"
        )
