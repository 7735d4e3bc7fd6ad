"""RepNet for multiscale and high-frequency PDEs, on DeepXDE and PyTorch.

The names below are imported when first used: importing torch and DeepXDE takes seconds, and
``repnet-pde --help`` or a finite-difference reference needs neither.
"""

import importlib
import sys
import types

__version__ = "0.1.0"

_EXPORTS = {
    "Problem": ".problem",
    "Sampling": ".problem",
    "Balance": ".balances",
    "Interface": ".problem",
    "catalogue": ".catalogue",
    "load_problem": ".catalogue",
    "solve": ".solve",
    "resume": ".resume",
    "train": ".train",
    "identify": ".identify",
    "identify_model": ".identify",
    "Result": ".result",
    "load_solution": ".export",
    "fit": ".fit",
    "load_fit": ".fit",
    "Fit": ".fit",
    "RepNetRegressor": ".regressor",
    "set_precision": "._backend",
    "InputError": ".errors",
    "TrainingError": ".errors",
    "RepNet": ".network",
    "RepDeepONet": ".network",
    "RepDeepONetCartesianProd": ".network",
    "register": ".network",
    "estimate_wavenumber": ".network",
    "estimate_wavenumber_from_samples": ".network",
    "magnitudes": ".network",
}
__all__ = [*_EXPORTS, "__version__"]


def __getattr__(name):
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_EXPORTS[name], __name__), name)
    globals()[name] = value
    return value


class _Package(types.ModuleType):
    """Importing the submodule ``catalogue`` or ``solve`` must not put it in the place of the function of that name."""

    def __setattr__(self, name, value):
        if not (name in _EXPORTS and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__():
    return sorted(__all__)
