"""RepNet for multiscale and high-frequency PDEs, on DeepXDE and PyTorch.

The names below are imported when first used: importing torch and DeepXDE takes seconds, and
``repnet-pde --help`` or a finite-difference reference needs neither.
"""

import importlib

__version__ = "0.1.0"

_EXPORTS = {
    "Problem": ".problem",
    "Sampling": ".problem",
    "catalogue": ".catalogue",
    "load_problem": ".catalogue",
    "solve": ".solve",
    "resume": ".solve",
    "Result": ".result",
    "set_precision": "._backend",
    "InputError": ".errors",
    "TrainingError": ".errors",
    "RepNet": ".network",
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


def __dir__():
    return sorted(__all__)
