"""Self-scaled Broyden: quasi-Newton with a dense inverse Hessian."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from ..discretization.objective import Objective
from ..discretization.parameters import move, restore
from ..errors import InputError, choose
from .method import Method

UPDATES = ("ssbroyden", "ssbfgs", "bfgs")
MOST_PARAMETERS = 16_000
"""The matrix then takes 2 GB, and an iteration about half a second for it alone."""
DECREASE, CURVATURE = 1e-4, 0.9
"""The constants of the strong Wolfe conditions."""
TRIALS = 30
"""Most evaluations of one line search."""


class Trial(NamedTuple):
    """A point along the line: how far, the loss, its slope along the line, its gradient (p,), its terms (k,)."""

    step: float
    loss: float
    slope: float
    gradient: torch.Tensor | None = None
    terms: torch.Tensor | None = None


class QuasiNewton(Method):
    """Broyden's family of quasi-Newton methods with M. Al-Baali's self-scaling and a strong Wolfe line search.

    The inverse Hessian is a dense matrix of 8 p² bytes for p parameters, updated by `update_inverse` in every
    iteration. Found to be the best of this family for physics-informed networks by J. F. Urbán, P. Stefanou,
    J. A. Pons, J. Comput. Phys. 523 (2025) 113656, and E. Kiyani et al., arXiv:2501.16371 (2025). It ends by itself
    when the gradient vanishes, or when the loss no longer falls even from a scaled identity in place of the matrix.
    Weights of the loss are balanced once, at the start: later that would change the function that it minimises.

    Args:
        objective: the loss, in float64.
        iterations: at most so many.
        update: "ssbroyden", "ssbfgs" (self-scaled BFGS) or "bfgs".
    """

    name = "ssbroyden"
    title = "self-scaled Broyden, a quasi-Newton method"
    default_iterations = 5_000
    layers = (30, 20, 20)
    any_network = True
    recorded_every = 100

    def __init__(self, objective: Objective, iterations: int, *, update: str = "ssbroyden"):
        choose("update", update, UPDATES)
        if objective.x.dtype != torch.float64:
            raise InputError("dtype: 'float32' given, but ssbroyden needs 'float64'")
        size = sum(p.numel() for p in objective.parameters)
        if size > MOST_PARAMETERS:
            raise InputError(
                f"method: ssbroyden keeps a dense matrix, of {8e-9 * size**2:.1f} GB for the {size:,} parameters of "
                f"this network; at most {MOST_PARAMETERS:,} are allowed: take narrower layers, or lbfgs"
            )
        self.objective, self.iterations, self.update = objective, iterations, update
        self.iteration = 0
        self.inverse: torch.Tensor | None = None
        """The inverse Hessian (p, p), or None before the first update after a start or a fresh start."""
        self._here: Trial | None = None
        self._reason: str | None = None

    @property
    def stopped(self) -> str | None:
        return self._reason or ("all iterations done" if self.iteration >= self.iterations else None)

    def step(self) -> None:
        objective = self.objective
        if self._here is None:
            if self.iteration == 0 and bool((objective.weights == 1).all()):
                objective.balance(first=True)
            loss, gradient = self._evaluate()
            if gradient is None:
                raise objective.describe_failure(self.iteration)
            self._here = Trial(0.0, loss, 0.0, gradient, objective.terms)
        here = self._here
        gradient = here.gradient
        assert gradient is not None  # it is of a point that was accepted
        norm = gradient.norm().item()
        if here.loss == 0 or norm == 0:
            self._reason = "the gradient is zero"
            return
        direction = -gradient / norm if self.inverse is None else -(self.inverse @ gradient)
        slope = (gradient @ direction).item()
        found = here
        if -math.inf < slope < 0:  # else rounding has spoiled the matrix
            before = [p.detach().clone() for p in objective.parameters]

            def along(step: float) -> Trial:
                move(objective.parameters, before, step * direction)
                loss, new = self._evaluate()
                return Trial(step, loss, math.nan if new is None else (new @ direction).item(), new, objective.terms)

            start = 1.0 if self.inverse is not None else min(1.0, 0.1 * here.loss / norm)
            found, last = line_search(along, here._replace(slope=slope), start)
            if found.step == 0:
                restore(objective.parameters, before)
            elif last != found.step:
                move(objective.parameters, before, found.step * direction)
            assert found.terms is not None
            objective.terms = found.terms
        if found.step > 0:
            assert found.gradient is not None  # the loss is finite there
            self._update(found.step * direction, found.gradient - gradient, -(found.step**2) * slope)
            self._here = found._replace(step=0.0)
            self.iteration += 1
        elif self.inverse is None:
            self._reason = "stalled: the line search finds no lower loss"
        else:
            self.inverse = None  # a fresh start may still find a way down

    def _evaluate(self) -> tuple[float, torch.Tensor | None]:
        """The loss and its gradient (p,) at the present parameters; None where they are not finite."""
        loss = self.objective.gradient().item()
        if not math.isfinite(loss):
            return math.nan, None
        parts = [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in self.objective.parameters]
        gradient = torch.cat(parts)
        return (loss, gradient) if torch.isfinite(gradient).all() else (math.nan, None)

    def _update(self, s: torch.Tensor, y: torch.Tensor, curvature: float) -> None:
        ys = (y @ s).item()
        if ys <= torch.finfo(y.dtype).eps * (y.norm() * s.norm()).item():
            return  # the line search gave up before the slope had risen
        if self.inverse is None:  # J. Nocedal, S. J. Wright, Numerical Optimization (2006), formula (6.20)
            scale = ys / (y @ y).item()
            self.inverse = scale * torch.eye(len(y), dtype=y.dtype)
            curvature = (s @ s).item() / scale
        update_inverse(self.inverse, s, y, curvature, self.update)

    def state_dict(self) -> dict:
        here = self._here
        return {
            "iteration": self.iteration,
            "reason": self._reason,
            "inverse": self.inverse,
            "loss": None if here is None else here.loss,
            "gradient": None if here is None else here.gradient,
        }

    def load_state_dict(self, state: dict) -> None:
        self.iteration, self._reason = state["iteration"], state["reason"]
        self.inverse = state["inverse"]
        if state["loss"] is not None:
            self._here = Trial(0.0, state["loss"], 0.0, state["gradient"], self.objective.terms)


@torch.no_grad()
def update_inverse(
    inverse: torch.Tensor, s: torch.Tensor, y: torch.Tensor, curvature: float, update: str = "ssbroyden"
) -> None:
    """Update the inverse Hessian H = B⁻¹ in place, so that H y = s and H stays positive definite.

    H ← (H − H y yᵀ H / yᵀH y + φ v vᵀ) / τ + s sᵀ / yᵀs  with  v = √(yᵀH y) (s / yᵀs − H y / yᵀH y):

    Broyden's family, where φ = 1 is BFGS and φ = 0 is DFP, with B scaled by τ <= 1 first. τ = 1, φ = 1 for "bfgs";
    τ = min(1, yᵀs / sᵀB s), φ = 1 for "ssbfgs" (M. Al-Baali, Comput. Optim. Appl. 9 (1998) 191-203); `broyden_factors`
    for "ssbroyden".

    Args:
        inverse: (p, p), symmetric.
        s: (p,) the step.
        y: (p,) the change of the gradient; yᵀs > 0.
        curvature: sᵀB s; for s = −α H g it is −α gᵀs.
    """
    hy = inverse @ y
    ys, yhy = (y @ s).item(), (y @ hy).item()
    tau, phi = 1.0, 1.0
    if update == "ssbfgs":
        tau = min(1.0, ys / curvature)
    elif update == "ssbroyden":
        tau, phi = broyden_factors(curvature / ys, yhy / ys, len(s))
    v = math.sqrt(phi * yhy / tau) * (s / ys - hy / yhy)
    # Products of equal vectors keep the matrix symmetric to the last bit.
    hy, s = hy / math.sqrt(yhy * tau), s / math.sqrt(ys)
    inverse.addr_(hy, hy, beta=1 / tau, alpha=-1)
    inverse.addr_(v, v)
    inverse.addr_(s, s)


def broyden_factors(b: float, h: float, size: int) -> tuple[float, float]:
    """τ and φ of the self-scaled Broyden update.

    M. Al-Baali, H. Khalfan, SQU J. Sci. 17 (2012) 1-19, as in Urbán et al. (2025), section 3:

        a = b h − 1,   c = √(a / (a + 1)),   ρ = min(1, h (1 − c)),
        θ = max((ρ − 1) / a, min(1 / ρ, (1 − b) / b)),   σ = 1 + a θ,   φ = (1 − θ) / σ,
        τ = min(1, 1/b) min(σ^(−1/(p−1)), 1/θ) for θ > 0,   min(min(1, 1/b) σ^(−1/(p−1)), σ) for θ <= 0.

    Since h (1 − c) = 1 / (b (1 + c)), ρ < 1 needs b > 1/2; so 1 / ρ may be replaced by 1, θ <= 1 and φ >= 0 always, and
    the second formula of τ serves for both signs of θ.

    Args:
        b: sᵀB s / yᵀs.
        h: yᵀH y / yᵀs.
        size: p, the number of parameters.
    """
    a = max(b * h - 1, torch.finfo(torch.float64).eps)  # >= 0 by Cauchy and Schwarz, but for rounding
    rho = min(1.0, 1 / (b * (1 + math.sqrt(a / (a + 1)))))
    theta = max((rho - 1) / a, min(1.0, (1 - b) / b))
    sigma = 1 + a * theta
    return min(min(1.0, 1 / b) * sigma ** (-1 / max(size - 1, 1)), sigma), (1 - theta) / sigma


def line_search(along: Callable[[float], Trial], here: Trial, step: float) -> tuple[Trial, float]:
    """A point that meets the strong Wolfe conditions, by bracketing and cubic interpolation.

    J. Nocedal, S. J. Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6. Where `TRIALS` do not suffice,
    the best point so far that lowers the loss enough; ``here`` where there is none. Losses that are not finite count
    as too high.

    Args:
        along: evaluates the loss and its slope at a step.
        here: the point at step 0, of negative slope.
        step: the first to try.

    Returns:
        The point, and the step that was evaluated last.
    """
    low, high = here, None
    for _ in range(TRIALS):
        trial = along(step)
        if not (trial.loss <= here.loss + DECREASE * step * here.slope and trial.loss < low.loss):
            high = trial
        elif not abs(trial.slope) > -CURVATURE * here.slope:
            return trial, step
        else:
            if trial.slope * (1 if high is None else high.step - low.step) >= 0:
                high = low
            previous, low = low, trial
        if high is None:
            step = min(max(2 * low.step, cubic_minimum(previous, low)), 10 * low.step)
        else:
            width = high.step - low.step
            inside = (cubic_minimum(low, high) - low.step) / width if width else math.nan
            step_before, step = step, low.step + width * (min(max(inside, 0.1), 0.9) if inside == inside else 0.5)
            if step == step_before or step in (low.step, high.step):
                break  # the bracket has shrunk to rounding
    return low, trial.step


def cubic_minimum(one: Trial, other: Trial) -> float:
    """Where the cubic through the losses and slopes of two points has its minimum; NaN where it has none."""
    width = other.step - one.step
    slope = 3 * (one.loss - other.loss) / width + one.slope + other.slope
    under = slope**2 - one.slope * other.slope
    if not under >= 0:
        return math.nan
    root = math.copysign(math.sqrt(under), width)
    bottom = other.slope - one.slope + 2 * root
    return other.step - width * (other.slope + root - slope) / bottom if bottom else math.nan
