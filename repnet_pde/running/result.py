"""`Result`: a trained model with its errors, residuals and history, and its output files."""

import math
import warnings
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import limits
from ..backend import dde, on_cpu, quiet
from ..checking import accuracy
from ..checking.status import Verification
from ..files import RESULT, SOLUTION, write_json
from ..inverse.estimates import Estimate, Identification
from ..problem.parameters import native, stored
from ..problem.references import Reference


@dataclass
class Result:
    """Result of `solve`.

    Attributes:
        problem: the `Problem`.
        network: its name, or "custom".
        network_options: as given, completed with those chosen automatically.
        method: its name.
        seed: as given.
        dtype: as given.
        net: the trained network.
        errors: relative L2 and maximum, against the exact solution, else the reference, on test points
            (`Errors`).
        reference: the finite-difference `Reference`, or None.
        reference_errors: the network against it.
        check: the `Verification`: residuals at validation points, error indicator, and the convergence status.
        history: arrays by iteration: "iteration", "seconds", "method", "loss" (weighted), "relative_l2", and by name
            "terms" (mean squares, unweighted), "weights", "unknowns".
        unknowns: name -> identified value.
        iterations: number done.
        stages: how each completed stage ended.
        stopped: why training ended.
        finished: whether training ended by itself and, for methods on space-time slabs, at the final time.
        resumable: whether training can continue. A method on slabs that has stalled or used up its iterations before
            the final time is neither finished nor resumable.
        reached: for methods on space-time slabs, the time up to which there is a solution, beyond which it is NaN; else
            None.
        wall_seconds: of training, all sessions together.
        peak_memory: the most bytes that the process has held, from its start to the end of the run.
        wavenumber: the largest along each axis, given or estimated, radians per unit length.
        notes: notes for the user, such as how the slopes were chosen.
        first_layer: the state of the first layer before training, or None.
        versions: of the packages used.
        unmet: whether the method ended without any solution of the equations.
        identification: standard errors, intervals and what is not identifiable (`Identification`) of a
            problem with observations whose training has ended by itself, else None.
    """

    problem: Any
    net: Any
    network: str
    network_options: dict
    method: str
    seed: int
    dtype: str
    errors: accuracy.Errors
    reference: Reference | None
    reference_errors: accuracy.Errors
    check: Verification
    history: dict
    unknowns: dict[str, float]
    iterations: int
    stopped: str
    finished: bool
    resumable: bool
    wall_seconds: float
    peak_memory: int
    wavenumber: tuple[float, ...]
    reached: float | None = None
    stages: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first_layer: dict | None = None
    data: Any = None
    versions: dict[str, str] = field(default_factory=dict)
    identification: Identification | None = None
    unmet: bool = False

    @on_cpu()
    def predict(self, x, chunk: int = accuracy.CHUNK) -> np.ndarray:
        """The solution (n, c) at points x (n, d), evaluated in chunks of rows; NaN beyond the time `reached`."""
        return accuracy.predict(self.net, x, self.problem.dim, self.dtype, chunk)

    @cached_property
    def model(self):
        """The ``dde.Model``, compiled with Adam, to predict, save or continue training with DeepXDE."""
        model = dde.Model(self.data, self.net)
        weights = list(self.history["weights"].values())
        with quiet():
            model.compile(
                "adam",
                lr=1e-3,
                loss_weights=[w[-1] for w in weights] if self.history["iteration"].size else None,
                external_trainable_variables=list(self.problem.unknowns.values()) or None,
                verbose=0,
            )
        model.train_state.step = self.iterations
        terms = np.stack(list(self.history["terms"].values()), axis=1)
        for i, step in enumerate(self.history["iteration"]):
            model.losshistory.append(int(step), terms[i], terms[i], [])
        return model

    @property
    def estimates(self) -> dict[str, Estimate]:
        """The unknowns with standard errors and intervals, if these are known."""
        if self.identification is not None:
            return self.identification.estimates
        true = self.problem.true_unknowns
        return {name: Estimate(value, None, None, true.get(name)) for name, value in self.unknowns.items()}

    @property
    def residuals(self) -> dict[str, float]:
        """Root mean square of each term, by name, at validation points."""
        return self.check.residuals

    @property
    def status(self) -> str:
        """ "converged", "residual small but not verified" or "not converged"; ``check.reason`` says why."""
        return self.check.status

    @property
    def n_parameters(self) -> int:
        return sum(p.numel() for p in self.net.parameters())

    @property
    def residual_rms(self) -> float:
        """Root mean square of the PDE's residuals, or of the conditions where there is no PDE."""
        names = self.problem.residual_names or tuple(self.residuals)
        return math.sqrt(float(np.mean([self.residuals[name] ** 2 for name in names])))

    def to_dict(self) -> dict:
        """Plain types for ``result.json``; numbers that are not finite become None."""
        return plain(
            {
                "problem": self.problem.name,
                "parameters": stored(self.problem.parameters),
                "network": self.network,
                "network_options": self.network_options,
                "method": self.method,
                "seed": self.seed,
                "dtype": self.dtype,
                "relative_l2": self.errors.relative_l2,
                "max_error": self.errors.maximum,
                "error_against": self.errors.against,
                "errors": asdict(self.errors),
                "reference": None if self.reference is None else self.reference.name,
                "reference_error": None if self.reference is None else self.reference.relative_l2_estimate,
                "reference_details": self._reference_details(),
                "residual_rms": self.residual_rms,
                "residuals": self.residuals,
                "status": self.check.status,
                "status_reason": self.check.reason,
                "relative_residuals": self.check.relative,
                "error_indicator": self.check.error_indicator,
                "loosest": self.check.loosest,
                "status_notes": list(self.check.notes),
                "ranges": self.check.ranges,
                "n_parameters": self.n_parameters,
                "iterations": self.iterations,
                "stages": self.stages,
                "stopped": self.stopped,
                "finished": self.finished,
                "resumable": self.resumable,
                "reached": self.reached,
                "wall_seconds": self.wall_seconds,
                "peak_memory": self.peak_memory,
                "wavenumber": list(self.wavenumber),
                "unknowns": {name: _estimated(estimate) for name, estimate in self.estimates.items()},
                "identification": None if self.identification is None else self.identification.to_dict(),
                "notes": self.notes,
                "versions": self.versions,
            }
        )

    def _reference_details(self) -> dict | None:
        """The finite-difference reference and the errors of the network against it."""
        if self.reference is None:
            return None
        return {
            "name": self.reference.name,
            "relative_l2_estimate": self.reference.relative_l2_estimate,
            "max_error_estimate": self.reference.error_estimate,
            "converged": self.reference.converged,
            "order": self.reference.order,
            "wall_seconds": self.reference.wall_seconds,
            "network_relative_l2": self.reference_errors.relative_l2,
            "network_max_error": self.reference_errors.maximum,
        }

    @on_cpu()
    def save(self, directory: str | Path, pictures: bool = True) -> Path:
        """Write ``result.json``, ``solution.nc`` and the pictures into ``directory``; past a time limit no pictures."""
        from ..output.grid import grid
        from ..output.netcdf import write_netcdf
        from ..output.pictures import draw

        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        limits.say("the files of the run")
        with limits.whole():
            write_json(directory / RESULT, self.to_dict())
            data = grid(self)
            write_netcdf(data, directory / SOLUTION)
        if pictures and not limits.late():
            with limits.whole():
                draw(self, directory, data)
        elif pictures:
            warnings.warn(f"no time was left for pictures; draw them by: repnet-pde plot {directory}", stacklevel=2)
        return directory


def _estimated(estimate: Estimate) -> dict:
    """An unknown in the form of ``result.json``."""
    return {
        "estimate": estimate.value,
        "standard_error": estimate.standard_error,
        "interval": estimate.interval,
        "identifiable": estimate.identifiable,
        "true": estimate.true,
        "discretisation": estimate.discretisation,
        "reason": estimate.reason,
    }


def plain(value):
    """``value`` in JSON types: NumPy numbers as Python's, values that are not finite as None."""
    return _finite(native(value))


def _finite(value):
    if isinstance(value, dict):
        return {str(key): _finite(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
