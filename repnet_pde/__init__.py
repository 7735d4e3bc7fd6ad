"""RepNet for multiscale and high-frequency PDEs, on DeepXDE and PyTorch.

The names below are imported when first used: importing torch and DeepXDE takes seconds, and
``repnet-pde --help`` or a finite-difference reference needs neither.
"""

import importlib
from pathlib import Path
from typing import Any

from .version import __version__

_HERE = Path(__file__).resolve().parent
if not (_HERE / "problems").exists() and (_HERE.parent / "problems" / "__init__.py").exists():
    # Python was started in a source checkout, which takes precedence over an installed package. There the catalogue
    # and the validation are next to the package.
    __path__.append(str(_HERE.parent))

_EXPORTS = {
    "Problem": ".problem.problem",
    "Sampling": ".problem.problem",
    "Balance": ".problem.balances",
    "Interface": ".problem.problem",
    "catalogue": ".problem.load",
    "load_problem": ".problem.load",
    "plan": ".planning.plan",
    "solve": ".running.solve",
    "resume": ".running.resume",
    "train": ".training.model",
    "identify": ".running.identify",
    "identify_model": ".running.identify",
    "Result": ".running.result",
    "load_solution": ".output.formats",
    "fit": ".fitting.fit",
    "load_fit": ".fitting.fit",
    "Fit": ".fitting.fit",
    "RepNetRegressor": ".fitting.estimator",
    "set_precision": ".backend",
    "InputError": ".errors",
    "TrainingError": ".errors",
    "TimeLimitError": ".errors",
    "MemoryLimitError": ".errors",
    "RepNet": ".networks",
    "RepDeepONet": ".networks",
    "RepDeepONetCartesianProd": ".networks",
    "register": ".networks",
    "estimate_wavenumber": ".analysis.spectrum",
    "estimate_wavenumber_from_samples": ".analysis.spectrum",
    "magnitudes": ".networks",
}
__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
