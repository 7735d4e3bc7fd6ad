"""Self-scaled Broyden: the algebra of the update, the line search, minima of known functions, PDEs, resuming."""

import deepxde as dde
import numpy as np
import pytest
import torch
from repnet_pde.validation.studies import kill_resume

from repnet_pde import InputError, Problem, Sampling, load_problem, resume, set_precision, solve
from repnet_pde.methods.quasi_newton import UPDATES, QuasiNewton, Trial, broyden_factors, line_search, update_inverse
from repnet_pde.output import pictures as plots

PI = np.pi
SMALL = {"layers": [12, 12]}


class Function:
    """What the method needs of an objective, for a function of one vector."""

    def __init__(self, function, start):
        self.function = function
        self.x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        self.parameters, self.terms, self.weights = [self.x], torch.full((1,), torch.nan), torch.full((1,), 2.0)

    def gradient(self):
        self.x.grad = None
        loss = self.function(self.x)
        if torch.isfinite(loss):
            loss.backward()
        self.terms = loss.detach()[None]
        return loss.detach()


def matrices(size, seed):
    """A positive definite inverse Hessian, a step, and a change of gradient with a positive product."""
    generator = torch.Generator().manual_seed(seed)
    a, s, y = (torch.randn(*n, generator=generator, dtype=torch.float64) for n in ((size, size), (size,), (size,)))
    inverse = a @ a.T + torch.eye(size, dtype=torch.float64)
    return (inverse + inverse.T) / 2, s, y * torch.sign(y @ s) * 10.0 ** (seed % 5 - 2)


# The update ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("update", UPDATES)
def test_secant_equation_symmetry_and_positive_definiteness(update, seed):
    inverse, s, y = matrices(7, seed)
    update_inverse(inverse, s, y, (s @ torch.linalg.solve(inverse, s)).item(), update)
    torch.testing.assert_close(inverse @ y, s, rtol=1e-8, atol=1e-8)
    assert torch.equal(inverse, inverse.T)
    assert torch.linalg.eigvalsh(inverse)[0] > 0


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("update", UPDATES)
def test_the_inverse_is_that_of_the_scaled_hessian(update, seed):
    """B ← τ (B − B s sᵀ B / sᵀB s + θ w wᵀ) + y yᵀ / yᵀs, w = √(sᵀB s) (y / yᵀs − B s / sᵀB s)."""
    inverse, s, y = matrices(6, seed)
    hessian = torch.linalg.inv(inverse)
    bs, ys = hessian @ s, y @ s
    b, h = (s @ bs / ys).item(), (y @ inverse @ y / ys).item()
    tau, phi = {"bfgs": (1, 1), "ssbfgs": (min(1, 1 / b), 1), "ssbroyden": broyden_factors(b, h, 6)}[update]
    theta = (1 - phi) / (1 + (b * h - 1) * phi)
    w = torch.sqrt(s @ bs) * (y / ys - bs / (s @ bs))
    wanted = tau * (hessian - torch.outer(bs, bs) / (s @ bs) + theta * torch.outer(w, w)) + torch.outer(y, y) / ys
    update_inverse(inverse, s, y, (s @ bs).item(), update)
    torch.testing.assert_close(inverse @ wanted, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-5)


@pytest.mark.parametrize("b", [1e-6, 0.1, 0.9, 1.0, 1.1, 10.0, 1e6])
@pytest.mark.parametrize("excess", [0.0, 1e-12, 0.1, 10.0, 1e9])
def test_factors_are_within_al_baalis_bounds(b, excess):
    """0 < τ <= 1, σ = 1 + a θ > 0, and BFGS itself where the matrix has the right curvature along the step."""
    tau, phi = broyden_factors(b, (1 + excess) / b, 1000)
    assert 0 < tau <= 1 and 1 + excess * phi > 0
    if b == 1:
        assert (tau, phi) == (1, 1)
    assert phi <= 1 if b < 1 else phi >= 1  # θ > 0: towards DFP and beyond; θ < 0: away from it


def test_factors_by_hand():
    """b = 2, h = 2: a = 3, c = √3 / 2, ρ = 2 − √3, θ = −1/2 against (ρ − 1) / a = −0.24; n = 2."""
    theta = (1 - np.sqrt(3)) / 3
    sigma = 1 + 3 * theta
    assert broyden_factors(2.0, 2.0, 2) == pytest.approx((min(0.5 / sigma, sigma), (1 - theta) / sigma), rel=1e-12)
    # b = 1/2, h = 4: a = 1, ρ = min(1, 4 − 2√2) = 1, θ = min(1, 1) = 1: DFP; σ = 2, τ = min(2^(−1/2), 1), n = 3.
    assert broyden_factors(0.5, 4.0, 3) == pytest.approx((2**-0.5, 0.0), rel=1e-12)


def test_factors_are_al_baalis():
    """His formulas with all their cases, of which some cannot occur."""
    random = np.random.default_rng(0)
    for _ in range(1000):
        b = 10 ** random.uniform(-4, 4)
        h, n = (1 + 10 ** random.uniform(-3, 6)) / b, int(random.integers(2, 50))
        a = b * h - 1
        rho = min(1, h * (1 - np.sqrt(a / (a + 1))))
        theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
        sigma, scale = 1 + a * theta, min(1, 1 / b)
        volume = sigma ** (1 / (1 - n))
        tau = scale * min(volume, 1 / theta) if theta > 0 else min(scale * volume, sigma)
        assert broyden_factors(b, h, n) == pytest.approx((tau, (1 - theta) / sigma), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("update", UPDATES)
def test_a_quadratic_ends_in_as_many_exact_steps_as_it_has_dimensions(update):
    """And not one earlier: the directions are conjugate (S. S. Oren, D. G. Luenberger, 1974)."""
    size = 8
    generator = torch.Generator().manual_seed(3)
    q = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]
    hessian = q @ torch.diag(torch.logspace(0, 2, size, dtype=torch.float64)) @ q.T
    x = torch.randn(size, generator=generator, dtype=torch.float64)
    inverse, gradient = torch.eye(size, dtype=torch.float64), hessian @ x
    sizes = [gradient.norm().item()]
    for _ in range(size):
        d = -inverse @ gradient
        alpha = -(d @ gradient / (d @ hessian @ d)).item()
        s, y = alpha * d, alpha * hessian @ d
        update_inverse(inverse, s, y, (-alpha * gradient @ s).item(), update)
        x, gradient = x + s, gradient + y
        sizes.append(gradient.norm().item())
    assert sizes[-1] < 1e-9 * sizes[0] and min(sizes[:-1]) > 1e-6 * sizes[0]


# The line search -----------------------------------------------------------------------------------------------------

LINES = {
    "parabola": lambda t: (t - 1) ** 2,
    "far": lambda t: (t / 300 - 1) ** 4,
    "rational": lambda t: -t / (t**2 + 2),  # J. J. Moré, D. J. Thuente, ACM TOMS 20 (1994), function 1
    "polynomial": lambda t: (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,  # their function 2
    "oscillating": lambda t: (t - 1) ** 2 / 4 - torch.sin(9 * t) / 20,
    "undefined beyond 2": lambda t: -torch.log(2 - t) - 3 * t,
}


def sampled(function, seen):
    def along(step):
        t = torch.tensor(step, dtype=torch.float64, requires_grad=True)
        loss = function(t)
        (slope,) = torch.autograd.grad(loss, t)
        seen.append(step)
        return Trial(step, loss.item(), slope.item())

    return along


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("line", LINES)
def test_the_strong_wolfe_conditions(line, first):
    seen = []
    along = sampled(LINES[line], seen)
    here = along(0.0)
    found, last = line_search(along, here, first)
    assert found.step > 0
    assert found.loss <= here.loss + 1e-4 * found.step * here.slope
    assert abs(found.slope) <= -0.9 * here.slope
    assert last == seen[-1] == found.step and len(seen) < 22


def test_no_lower_loss():
    """A slope that the losses do not follow, as rounding makes it: the start is returned, in the end."""
    here = Trial(0.0, 1.0, -1.0)
    assert line_search(lambda step: Trial(step, 1.0, -1.0), here, 1.0)[0] is here
    assert line_search(lambda step: Trial(step, np.nan, np.nan), here, 1.0)[0] is here


def test_the_best_point_is_returned_where_no_point_meets_both_conditions():
    """A loss that falls without end at the same slope."""
    found, last = line_search(lambda step: Trial(step, -step, -1.0), Trial(0.0, 0.0, -1.0), 1.0)
    assert found.step == last > 1e6


# Functions -----------------------------------------------------------------------------------------------------------


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


@pytest.mark.parametrize("size", [2, 20])
@pytest.mark.parametrize("update", UPDATES)
def test_rosenbrock(update, size):
    """The minimum 0 is at (1, …, 1); no iteration raises the loss."""
    function = Function(rosenbrock, [-1.2, 1.0] * (size // 2))
    method, losses = QuasiNewton(function, 400, update=update), []
    while method.stopped is None:
        method.step()
        losses.append(rosenbrock(function.x).item())
    assert all(later <= earlier for earlier, later in zip(losses, losses[1:], strict=False))
    assert losses[-1] < 1e-16 and (function.x - 1).abs().max() < 1e-8
    assert method.stopped in ("the gradient is zero", "stalled: the line search finds no lower loss")
    assert function.terms.item() == losses[-1]


def test_the_matrix_is_updated_by_the_step_that_was_taken():
    function = Function(rosenbrock, [-1.2, 1.0] * 3)
    method = QuasiNewton(function, 400)
    method.step()
    for _ in range(10):
        inverse, x, gradient = method.inverse.clone(), function.x.detach().clone(), method._here.gradient
        method.step()
        s, y = function.x.detach() - x, method._here.gradient - gradient
        update_inverse(inverse, s, y, (s @ torch.linalg.solve(inverse, s)).item())
        torch.testing.assert_close(method.inverse, inverse, rtol=1e-6, atol=1e-9)


def test_a_kink():
    """|x| + y²/9 has no point of small slope along x: the best point of the search is taken, with its terms."""
    function = Function(lambda x: x[0].abs() + x[1] ** 2 / 9, [0.3, 1.0])
    method, last = QuasiNewton(function, 100), np.inf
    while method.stopped is None:
        method.step()
        loss = function.function(function.x).item()
        assert method._here.loss == function.terms.item() == loss <= last
        last = loss
    assert last < 1e-3


def test_a_step_out_of_the_domain_is_shortened():
    """ln² x + y², undefined for x < 0."""
    function = Function(lambda x: torch.log(x[0]) ** 2 + x[1] ** 2, [5.0, 3.0])
    method = QuasiNewton(function, 100)
    while method.stopped is None:
        method.step()
    assert (function.x - torch.tensor([1.0, 0.0])).abs().max() < 1e-8


def test_a_spoiled_matrix_is_replaced_once():
    """One that gives no descent is dropped and the minimum is found from the identity; then, from there, it ends."""
    function = Function(rosenbrock, [-1.2, 1.0])
    method = QuasiNewton(function, 400)
    for _ in range(5):
        method.step()
    method.inverse.neg_()
    x = function.x.detach().clone()
    method.step()
    assert method.inverse is None and method.stopped is None and torch.equal(x, function.x)
    while method.stopped is None:
        method.step()
    assert rosenbrock(function.x) < 1e-16
    flat = Function(lambda x: (1e-9 * (x - 1)).square().sum() + 1.0, [0.0, 0.5])  # lost in the rounding of 1
    method = QuasiNewton(flat, 100)
    method.inverse = torch.eye(2, dtype=torch.float64)
    method.step()
    assert method.inverse is None and method.stopped is None
    method.step()
    assert method.stopped == "stalled: the line search finds no lower loss" and method.iteration == 0
    assert flat.x.tolist() == [0.0, 0.5]


# Problems ------------------------------------------------------------------------------------------------------------


def cubic(**unknowns):
    """u'' − a u³ = f with a = 1 and u = sin 2πx, u(0) = u(1) = 0."""
    line = dde.geometry.Interval(0, 1)
    a = unknowns.get("a", 1.0)
    conditions = {"ends": dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on_boundary: on_boundary)}
    if unknowns:
        x = np.linspace(0.1, 0.9, 9)[:, None]
        conditions["data"] = dde.icbc.PointSetBC(x, np.sin(2 * PI * x))

    def pde(x, u):
        exact = torch.sin(2 * PI * x)
        return dde.grad.hessian(u, x) - a * u**3 + (2 * PI) ** 2 * exact + exact**3

    return Problem(
        geometry=line,
        pde=pde,
        conditions=conditions,
        unknowns=unknowns,
        solution=lambda x: np.sin(2 * PI * x),
        sampling=Sampling(domain=50),
        wavenumber=2 * PI,
    )


@pytest.mark.parametrize("network", ["repnet", "fnn"])
@pytest.mark.parametrize("update", UPDATES)
def test_a_nonlinear_problem(update, network):
    options = {"method_options": {"ssbroyden": {"update": update}}, "network_options": SMALL}
    iterations = 800 if update == "bfgs" else 500  # far enough for any path to be below the bound
    result = solve(cubic(), network, "ssbroyden", **options, iterations=iterations, progress=False)
    assert result.errors.relative_l2 < 1e-4
    terms = sum(result.history["weights"][name] * result.history["terms"][name] for name in result.residuals)
    assert result.history["loss"] == pytest.approx(terms) and (np.diff(result.history["loss"]) <= 0).all()


def test_after_adam_with_an_unknown():
    counts = {"adam": 50, "ssbroyden": 300}
    options = {"iterations": counts, "network_options": SMALL, "progress": False}
    result = solve(cubic(a=dde.Variable(0.3)), "repnet", "adam+ssbroyden", **options)
    assert result.unknowns["a"] == pytest.approx(1, abs=1e-3)
    weights = result.history["weights"]["ends"][result.history["method"] == "ssbroyden"]
    assert len(set(weights)) == 1  # Adam's, not balanced again


@pytest.mark.parametrize("loss_weights", ["auto", {"ends": 3.0}])
def test_weights_are_balanced_once(loss_weights):
    options = {"iterations": 30, "network_options": SMALL, "loss_weights": loss_weights, "progress": False}
    weights = solve(cubic(), "repnet", "ssbroyden", **options).history["weights"]
    assert all(len(set(values)) == 1 for values in weights.values())
    assert (weights["ends"][0] == 3) == (weights["pde"][0] == 1) == (loss_weights != "auto")


class Stop(Exception):
    pass


@pytest.mark.parametrize("method", ["ssbroyden", "adam+ssbroyden"])
def test_a_run_resumed_ends_with_the_same_bits(method, tmp_path, monkeypatch):
    """Stopped before the first iteration, after it, and in the midst."""
    monkeypatch.setattr(plots, "draw", lambda *_: [])
    file, out = tmp_path / "decay.py", tmp_path / "stopped"
    file.write_text(kill_resume.PROBLEM)
    iterations = {"ssbroyden": 90} | ({"adam": 20} if "adam" in method else {})
    options = {"network_options": SMALL, "progress": False, "seed": 4, "iterations": iterations, "method": method}
    solve(load_problem(file), **options, out=tmp_path / "whole")
    step = QuasiNewton.step
    for moment in (0, 1, 40):

        def stopping(self, moment=moment):
            if self.iteration == moment:
                raise Stop
            step(self)

        with monkeypatch.context() as patch, pytest.raises(Stop):
            patch.setattr(QuasiNewton, "step", stopping)
            resume(out, progress=False) if out.exists() else solve(load_problem(file), **options, out=out)
    assert resume(out, progress=False).finished
    assert kill_resume.compare(tmp_path / "whole", out) == []


@pytest.mark.parametrize("method", ["ssbroyden", "adam+ssbroyden"])
def test_single_precision_is_refused(method):
    set_precision("float32")
    with pytest.raises(InputError, match="dtype: 'float32' given, but ssbroyden needs 'float64'"):
        solve(cubic(), "fnn", method, dtype="float32", network_options=SMALL, progress=False)


def test_more_parameters_than_a_matrix_holds_are_refused():
    message = r"dense matrix, of 2\.6 GB for the 17,953 parameters .* at most 16,000 .* narrower layers, or lbfgs"
    with pytest.raises(InputError, match=message):
        solve(cubic(), "fnn", "ssbroyden", network_options={"layers": [132, 132]}, progress=False)


def test_an_unknown_update_is_refused():
    with pytest.raises(InputError, match=r"update: 'ssbfg' is not known \(did you mean 'ssbfgs'\?\)"):
        solve(cubic(), method="ssbroyden", method_options={"ssbroyden": {"update": "ssbfg"}}, progress=False)


def test_the_gradient_that_is_not_finite_ends_the_search_not_the_run():
    """A finite loss with an infinite gradient counts as too high."""
    function = Function(lambda x: torch.sqrt(x[0].abs()) + (x[0] - 2) ** 2, [1.0, 0.0])
    method = QuasiNewton(function, 50)
    while method.stopped is None:
        method.step()
    assert method.iteration > 0 and torch.isfinite(function.x).all()
