"""solve: problems of every kind are solved, runs are reproducible, results are what they say."""

import json
import random

import deepxde as dde
import matplotlib.image
import numpy as np
import pytest
import torch

from repnet_pde import Problem, Sampling, TrainingError, load_problem, load_solution, set_precision, solve
from repnet_pde.discretization.objective import Objective, check_weights
from repnet_pde.methods.lbfgs import LBFGS
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

PI = np.pi
LINE = dde.geometry.Interval(0, 1)
SMALL = {"layers": [16, 16]}
QUICK = {"network": "fnn", "network_options": SMALL, "method": "lbfgs", "iterations": 150, "progress": False}


def everywhere(x, on_boundary):
    return on_boundary


def sine_problem(**changes):
    """u'' = -π² sin πx, u(0) = u(1) = 0 by a hard constraint: u = sin πx."""
    given = {
        "geometry": LINE,
        "pde": lambda x, u: dde.grad.hessian(u, x) + PI**2 * torch.sin(PI * x),
        "output_transform": lambda x, u: x * (1 - x) * u,
        "solution": lambda x: np.sin(PI * x),
        "sampling": Sampling(domain=40),
        "wavenumber": PI,
    }
    return Problem(**(given | changes))


def two_terms(scale=1.0, **changes):
    """The same with soft conditions; ``scale`` multiplies the equation."""
    given = {
        "pde": lambda x, u: scale * (dde.grad.hessian(u, x) + PI**2 * torch.sin(PI * x)),
        "output_transform": None,
        "conditions": {"ends": dde.icbc.DirichletBC(LINE, lambda x: 0, everywhere)},
    }
    return sine_problem(**(given | changes))


def decay(rate):
    """u' = -rate u, u(0) = 1, with the rate to be found from values of exp(-2 t)."""
    time = dde.geometry.TimeDomain(0, 1)
    t = np.linspace(0, 1, 11)[:, None]
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + rate * u,
        conditions={"data": dde.icbc.PointSetBC(t, np.exp(-2 * t))},
        unknowns={"rate": rate},
        true_unknowns={"rate": 2.0},
        solution=lambda t: np.exp(-2 * t),
        sampling=Sampling(domain=30),
    )


def state(result):
    return {name: value.clone() for name, value in result.net.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same_history(one, other):
    """Bitwise, apart from the seconds."""
    flat = [
        {(k, n): v for k, part in h.items() for n, v in (part.items() if isinstance(part, dict) else [("", part)])}
        for h in (one, other)
    ]
    assert flat[0].keys() == flat[1].keys()
    return all(
        np.array_equal(flat[0][key], flat[1][key], equal_nan=flat[0][key].dtype.kind == "f")
        for key in flat[0]
        if key[0] != "seconds"
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One run with everything: two terms, an unknown-free problem, both methods, its directory."""
    set_precision("float64")
    out = tmp_path_factory.mktemp("saved") / "run"
    result = solve(
        two_terms(), "repnet", "adam+lbfgs", iterations=40, network_options=SMALL, out=out, progress=False, seed=3
    )
    return result, out


# What is solved ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["fnn", "repnet", "repnet-sin", "repnet-gaussian"])
def test_a_smooth_problem_is_solved(network):
    result = solve(sine_problem(), **QUICK | {"network": network})
    assert result.errors.relative_l2 < 1e-2 and result.errors.against == "solution"
    assert result.errors.maximum < 2e-2
    assert result.residuals["pde"] < 1e-1 and result.residual_rms == result.residuals["pde"]


def test_adam_lowers_the_error():
    options = {"adam": {"learning_rate": 1e-2}}
    result = solve(sine_problem(), **QUICK | {"method": "adam", "iterations": 300}, method_options=options)
    assert result.errors.relative_l2 < 0.1 * result.history["relative_l2"][0]


def test_relu_network_solves_a_first_order_problem():
    problem = Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.jacobian(u, x) - PI * torch.cos(PI * x),
        output_transform=lambda x, u: x * u,
        solution=lambda x: np.sin(PI * x),
        sampling=Sampling(domain=100),
    )
    options = {"network_options": {"layers": [32, 16]}, "method": "adam", "iterations": 500, "progress": False}
    assert solve(problem, "repnet-relu", **options).errors.relative_l2 < 0.1


def test_two_equations_with_two_outputs():
    """u' = π v, v' = -π u, u(0) = 0, v(0) = 1: sine and cosine."""

    def pde(x, u):
        return [
            dde.grad.jacobian(u, x, i=0) - PI * u[:, 1:2],
            dde.grad.jacobian(u, x, i=1) + PI * u[:, 0:1],
        ]

    def left(x, on_boundary):
        return on_boundary and x[0] < 0.5

    problem = Problem(
        geometry=LINE,
        pde=pde,
        conditions={
            "u at 0": dde.icbc.DirichletBC(LINE, lambda x: 0, left, component=0),
            "v at 0": dde.icbc.DirichletBC(LINE, lambda x: 1, left, component=1),
        },
        solution=lambda x: np.hstack([np.sin(PI * x), np.cos(PI * x)]),
        outputs=("u", "v"),
        sampling=Sampling(domain=40),
    )
    assert problem.term_names == ("pde_1", "pde_2", "u at 0", "v at 0")
    result = solve(problem, **QUICK | {"iterations": 400})
    assert result.errors.relative_l2 < 1e-2
    assert set(result.errors.by_output) == {"u", "v"} and max(result.errors.by_output.values()) < 2e-2
    assert result.predict(np.zeros((1, 1)))[0] == pytest.approx([0, 1], abs=2e-2)


def right(x, on_boundary):
    return on_boundary and x[0] > 0.5


def left(x, on_boundary):
    return on_boundary and x[0] < 0.5


CONDITIONS = {
    "Neumann": lambda: dde.icbc.NeumannBC(LINE, lambda x: np.full((len(x), 1), -PI), right),
    "Robin": lambda: dde.icbc.RobinBC(LINE, lambda x, u: -PI - u, right),
    "operator": lambda: dde.icbc.OperatorBC(LINE, lambda x, u, _: dde.grad.jacobian(u, x) + PI, right),
    "observations": lambda: dde.icbc.PointSetBC(np.array([[0.5], [1.0]]), np.array([[1.0], [0.0]])),
    "operator at points": lambda: dde.icbc.PointSetOperatorBC(
        np.array([[0.25]]), np.array([[PI * np.sqrt(0.5)]]), lambda x, u, _: dde.grad.jacobian(u, x)
    ),
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_condition(kind):
    """u'' = -π² sin πx with u(0) = 0 and one other condition that sin πx meets."""
    conditions = {"left": dde.icbc.DirichletBC(LINE, lambda x: 0, left), "other": CONDITIONS[kind]()}
    result = solve(two_terms(conditions=conditions), **QUICK)
    assert result.errors.relative_l2 < 2e-2
    assert list(result.residuals) == ["pde", "left", "other"] and result.residuals["other"] < 5e-2


def test_periodic_conditions_in_time():
    """u_t + u_x = 0 on [0, 1]², periodic in x: sin 2π(x - t)."""
    domain = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 1))

    def solution(x):
        return np.sin(2 * PI * (x[:, 0:1] - x[:, 1:2]))

    problem = Problem(
        geometry=domain,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=0) + dde.grad.jacobian(u, x, j=1),
        conditions={
            "periodic": dde.icbc.PeriodicBC(domain, 0, everywhere),
            "periodic slope": dde.icbc.PeriodicBC(domain, 0, everywhere, derivative_order=1),
            "initial": dde.icbc.IC(domain, solution, lambda x, on_initial: on_initial),
        },
        solution=solution,
        sampling=Sampling(domain=200, boundary=40, initial=40),
    )
    assert solve(problem, **QUICK | {"iterations": 800}).errors.relative_l2 < 5e-2


def test_periodic_features():
    """u'' - u = f on the circle by features cos 2πx, sin 2πx: no condition is needed."""
    problem = Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.hessian(u, x) - u + (1 + 4 * PI**2) * torch.sin(2 * PI * x),
        input_transform=lambda x: torch.cat([torch.cos(2 * PI * x), torch.sin(2 * PI * x)], 1),
        solution=lambda x: np.sin(2 * PI * x),
        sampling=Sampling(domain=50),
    )
    for network in ("fnn", "repnet"):
        result = solve(problem, **QUICK | {"network": network, "iterations": 400})
        assert result.errors.relative_l2 < 1e-2
        assert np.abs(np.diff(result.predict(np.array([[0.0], [1.0]])), axis=0)) < 1e-12


SHAPES = {
    "disk": lambda: dde.geometry.Disk([0.5, 0.5], 0.5),
    "square with a hole": lambda: dde.geometry.CSGDifference(
        dde.geometry.Rectangle([0, 0], [1, 1]), dde.geometry.Disk([0.5, 0.5], 0.2)
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_in_the_plane(shape, tmp_path):
    """Δu = 4 with u = x² + y² on the boundary; outside of the shape the written solution is NaN."""
    geometry = SHAPES[shape]()

    def solution(x):
        return (x**2).sum(1, keepdims=True)

    problem = Problem(
        geometry=geometry,
        pde=lambda x, u: dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) - 4,
        conditions={"boundary": dde.icbc.DirichletBC(geometry, solution, everywhere)},
        solution=solution,
        sampling=Sampling(domain=150, boundary=60, distribution="pseudo"),
    )
    result = solve(problem, **QUICK, out=tmp_path / "run")
    assert result.errors.relative_l2 < 1e-2
    data = load_solution(tmp_path / "run")
    x, y = np.meshgrid(data.x, data.y, indexing="ij")
    inside = geometry.inside(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape)
    assert 0.5 < inside.mean() < 0.95
    assert np.array_equal(np.isfinite(data.u.values), inside)


def test_ordinary_differential_equation():
    """u' = -2 u on a TimeDomain with u(0) = 1, whose axis is called t."""
    time = dde.geometry.TimeDomain(0, 1)
    problem = Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + 2 * u,
        conditions={"start": dde.icbc.IC(time, lambda t: 1, lambda t, on_initial: on_initial)},
        solution=lambda t: np.exp(-2 * t),
        sampling=Sampling(domain=40),
    )
    assert solve(problem, **QUICK).errors.relative_l2 < 1e-3
    assert problem.coordinate_names == ["t"]


def test_nothing_to_compare_with():
    result = solve(sine_problem(solution=None), **QUICK | {"iterations": 3})
    assert result.errors.relative_l2 is None and result.errors.against is None
    assert np.isnan(result.history["relative_l2"]).all()
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_catalogue_problem_with_a_reference_alone():
    problem = load_problem("burgers_1d", nu=0.3)
    result = solve(problem, **QUICK | {"iterations": 200})
    assert result.errors.against == "reference" and result.errors == result.reference_errors
    assert result.errors.relative_l2 < 0.1


# Unknowns ------------------------------------------------------------------------------------------------------------


def test_an_unknown_is_identified_and_starts_anew_in_each_run():
    problem = decay(dde.Variable(0.5))
    first = solve(problem, **QUICK)
    assert first.unknowns["rate"] == pytest.approx(2.0, rel=1e-2)
    assert first.history["unknowns"]["rate"][-1] == first.unknowns["rate"]
    identified = problem.unknowns["rate"].item()
    second = solve(problem, **QUICK)
    assert identified == first.unknowns["rate"] == second.unknowns["rate"]
    assert same(state(first), state(second)) and same_history(first.history, second.history)
    stored = first.to_dict()["unknowns"]["rate"]
    assert stored["estimate"] == identified and stored["true"] == 2.0
    # Training left more of the exact data than their own scatter: that is said, and there is no interval.
    assert stored["interval"] is None and "the fit misses data" in first.estimates["rate"].reason


def test_an_unknown_within_a_condition():
    """u'' = 0, u(0) = 0, u(1) = a, where u(1/2) = 3 was observed: a = 6."""
    a = dde.Variable(1.0)
    problem = Problem(
        geometry=LINE,
        pde=lambda x, u: dde.grad.hessian(u, x),
        conditions={
            "left": dde.icbc.DirichletBC(LINE, lambda x: 0, left),
            "right": dde.icbc.OperatorBC(LINE, lambda x, u, _: u - a, right),
            "data": dde.icbc.PointSetBC(np.array([[0.5]]), np.array([[3.0]])),
        },
        unknowns={"a": a},
        sampling=Sampling(domain=20),
    )
    assert solve(problem, **QUICK | {"iterations": 300}).unknowns["a"] == pytest.approx(6.0, rel=2e-2)


# Reproducible --------------------------------------------------------------------------------------------------------


def generators():
    return random.getstate(), [repr(v) for v in np.random.get_state()], torch.get_rng_state().tolist()


@pytest.mark.parametrize("network", ["fnn", "repnet"])
@pytest.mark.parametrize("distribution", ["Hammersley", "pseudo", "LHS"])
def test_the_seed_decides(network, distribution):
    options = {"method": "adam+lbfgs", "network_options": SMALL, "iterations": 8, "progress": False}
    results = []
    for seed, noise in ((5, 1), (5, 2), (6, 1)):
        np.random.seed(noise)
        torch.manual_seed(noise)
        problem = two_terms(sampling=Sampling(domain=30, distribution=distribution))
        before = generators()
        results.append(solve(problem, network, seed=seed, **options))
        assert generators() == before
    one, again, other = results
    assert same(state(one), state(again)) and same_history(one.history, again.history)
    assert one.errors == again.errors and one.residuals == again.residuals
    assert not same(state(one), state(other))
    points = [r.data.train_x for r in results]
    assert np.array_equal(points[0], points[1])
    assert np.array_equal(points[0], points[2]) == (distribution == "Hammersley")


def test_precisions_do_not_mix():
    double, single = sine_problem(), None
    set_precision("float32")
    single = sine_problem()
    low = solve(single, **QUICK | {"iterations": 60, "dtype": "float32"})
    high = solve(double, **QUICK | {"iterations": 60})
    assert low.predict([[0.5]]).dtype == np.float32 and high.predict([[0.5]]).dtype == np.float64
    assert {p.dtype for p in low.net.parameters()} == {torch.float32}
    assert {p.dtype for p in high.net.parameters()} == {torch.float64}
    assert low.errors.relative_l2 < 5e-2 and high.errors.relative_l2 < 5e-2


@pytest.mark.parametrize("network", ["fnn", "repnet"])
def test_float32_from_the_catalogue(network):
    problem = load_problem("poisson_two_scale_1d", dtype="float32", high=4, amplitude=0.5)
    result = solve(problem, **QUICK | {"network": network, "dtype": "float32", "network_options": {"layers": [32, 32]}})
    assert result.errors.relative_l2 < 0.1


# Loss, weights, methods ----------------------------------------------------------------------------------------------


def objective(problem, weights, seed=0):
    torch.manual_seed(seed)
    net = dde.nn.FNN([1, 16, 16, 1], "tanh", "Glorot normal")
    return Objective(collocation(problem), net, [], problem.term_names, check_weights(weights, problem.term_names))


def gradient_norms(objective):
    norms = []
    for weight, term in zip(objective.weights, objective.mean_squares(), strict=True):
        grads = torch.autograd.grad(weight * term, objective.parameters, retain_graph=True, allow_unused=True)
        norms.append(torch.sqrt(sum(g.square().sum() for g in grads if g is not None)).item())
    return norms


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_automatic_balance_makes_gradients_equal(scale):
    loss = objective(two_terms(scale), "auto")
    loss.balance(first=False)
    before = gradient_norms(loss)
    loss.balance(first=True)
    pde, ends = gradient_norms(loss)
    assert pde == pytest.approx(ends, rel=1e-10)
    if scale != 1:
        assert not 0.5 < before[0] / before[1] < 2


def test_the_automatic_balance_of_a_term_that_happens_to_be_met():
    """u(0) = 0 holds for a network without biases: no reason for a weight of its own."""
    conditions = {"left": dde.icbc.DirichletBC(LINE, lambda x: 0, left)}
    conditions["right"] = dde.icbc.DirichletBC(LINE, lambda x: 1, right)
    loss = objective(two_terms(conditions=conditions), "auto")
    loss.balance(first=True)
    assert loss.terms[1] == 0 and gradient_norms(loss)[1] == 0
    assert loss.weights[1] == max(loss.weights[0], loss.weights[2])


def test_fixed_weights_are_kept_and_enter_the_loss():
    weights = {"ends": 7.0}
    result = solve(two_terms(), **QUICK | {"iterations": 30}, loss_weights=weights)
    history = result.history
    assert (history["weights"]["ends"] == 7).all() and (history["weights"]["pde"] == 1).all()
    total = history["terms"]["pde"] + 7 * history["terms"]["ends"]
    assert history["loss"] == pytest.approx(total, rel=1e-12)
    loss = objective(two_terms(), weights)
    pde, ends = residual_vectors(loss.data, loss.net)
    assert loss.total().item() == pytest.approx((pde.square().mean() + 7 * ends.square().mean()).item(), rel=1e-12)


def test_regularisation_enters_the_loss():
    net = dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal", regularization=["l2", 0.5])
    problem = two_terms()
    loss = Objective(collocation(problem), net, [], problem.term_names, {})
    expected = loss.mean_squares().sum() + 0.5 * sum(p.square().sum() for p in net.parameters())
    assert loss.total().item() == pytest.approx(expected.item(), rel=1e-12)


def test_history():
    counts = {"adam": 250, "lbfgs": 50}
    result = solve(two_terms(), **QUICK | {"method": "adam+lbfgs", "iterations": counts})
    history = result.history
    assert set(history) == {"iteration", "seconds", "method", "loss", "relative_l2", "terms", "weights", "unknowns"}
    n = len(history["iteration"])
    assert all(len(history[key]) == n for key in ("seconds", "method", "loss", "relative_l2"))
    assert all(len(values) == n for key in ("terms", "weights") for values in history[key].values())
    assert list(history["terms"]) == list(history["weights"]) == ["pde", "ends"]
    assert (np.diff(history["iteration"]) > 0).all() and (np.diff(history["seconds"]) >= 0).all()
    assert set(history["method"]) == {"adam", "lbfgs"} and history["iteration"][-1] == result.iterations
    assert 50 <= np.count_nonzero(history["method"] == "adam") <= 150
    assert result.iterations <= 300 and result.finished and len(result.stages) == 2
    assert result.stopped == result.stages[-1] and "lbfgs" in result.stopped


def test_lbfgs_stops_with_a_reason():
    """Fitting values by a linear function of two parameters: the gradient vanishes up to rounding."""
    x = np.linspace(0, 1, 9)[:, None]
    problem = Problem(
        geometry=LINE,
        pde=None,
        conditions={"data": dde.icbc.PointSetBC(x, 3 * x - 1)},
        solution=lambda x: 3 * x - 1,
    )
    result = solve(
        problem, lambda p: dde.nn.FNN([1, 1, 1], None, "Glorot normal"), "lbfgs", iterations=2000, progress=False
    )
    assert result.iterations < 2000 and result.finished
    assert "stalled" in result.stopped or "gradient is zero" in result.stopped
    assert result.errors.relative_l2 < 1e-8
    assert result.residual_rms == result.residuals["data"]


def test_lbfgs_never_raises_the_loss():
    loss = objective(two_terms(), None)
    method = LBFGS(loss, 200)
    losses = []
    while method.stopped is None:
        method.step()
        losses.append(loss.total().item())
    assert (np.diff(losses) <= 0).all() and losses[-1] < 1e-2 * losses[0]


def test_time_limit(tmp_path):
    result = solve(
        two_terms(),
        "fnn",
        "adam",
        iterations=10**6,
        time_limit=0.5,
        network_options=SMALL,
        out=tmp_path / "run",
        progress=False,
    )
    assert result.stopped == "time limit" and not result.finished
    assert 0 < result.iterations < 10**6 and 0 < result.wall_seconds < 60
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_term_that_becomes_nan_is_named(tmp_path):
    """sqrt(u - u0) is fine at the start and leaves the real numbers as soon as u falls below."""
    problem = two_terms(
        conditions={
            "ends": dde.icbc.DirichletBC(LINE, lambda x: 0, everywhere),
            "root": dde.icbc.OperatorBC(LINE, lambda x, u, _: torch.sqrt(u + 5), everywhere),
        },
    )
    options = {"adam": {"learning_rate": 0.5}}
    with pytest.raises(TrainingError, match=r"iteration \d+: the term\(s\) root became NaN"):
        solve(
            problem,
            "fnn",
            "adam",
            iterations=2000,
            network_options=SMALL,
            method_options=options,
            loss_weights={"root": 100},
            out=tmp_path / "run",
            progress=False,
        )
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["progress"]["finished_iterations"] == []
    assert all(torch.isfinite(value).all() for value in state["network"].values())


# Networks of one's own -----------------------------------------------------------------------------------------------


def own(problem=None):
    return dde.nn.FNN([1, 16, 16, 1], "tanh", "Glorot uniform")


@pytest.mark.parametrize("kind", ["function", "instance"])
def test_network_of_ones_own(kind):
    result = solve(sine_problem(), own if kind == "function" else own(), "lbfgs", iterations=150, progress=False)
    assert result.network == "custom" and result.errors.relative_l2 < 1e-2
    assert result.n_parameters == 2 * 16 + 17 * 16 + 17


# The result ----------------------------------------------------------------------------------------------------------


def test_predict_in_chunks():
    result = solve(sine_problem(), **QUICK | {"iterations": 3})
    x = np.random.default_rng(0).random((101, 1))
    whole = result.predict(x)
    assert whole.shape == (101, 1) and whole.dtype == np.float64
    for chunk in (1, 7, 100, 101, 1000):
        assert result.predict(x, chunk) == pytest.approx(whole, rel=1e-13, abs=1e-15)
    with torch.no_grad():
        assert whole == pytest.approx(result.net(torch.as_tensor(x)).numpy(), rel=1e-13, abs=1e-15)
    assert result.predict(np.empty((0, 1))).shape == (0, 1)
    assert result.predict([[0], [1]]).tolist() == [[0], [0]]  # whole numbers; the hard constraint


def test_errors_by_hand(saved):
    result, _ = saved
    x = np.linspace(0, 1, 5001)[:, None]
    difference, exact = result.predict(x) - np.sin(PI * x), np.sin(PI * x)
    assert result.errors.relative_l2 == pytest.approx(np.linalg.norm(difference) / np.linalg.norm(exact), rel=1e-2)
    assert result.errors.maximum == pytest.approx(np.abs(difference).max(), rel=1e-2)
    assert result.errors.points >= 2000


def test_residuals_by_hand(saved):
    result, _ = saved
    x = torch.linspace(0, 1, 3001)[:, None].double().requires_grad_()
    u = result.net(x)
    (u_x,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x)
    residual = u_xx + PI**2 * torch.sin(PI * x)
    assert result.residuals["pde"] == pytest.approx(residual.square().mean().sqrt().item(), rel=0.2)
    ends = result.predict([[0], [1]])
    assert result.residuals["ends"] == pytest.approx(np.sqrt(np.mean(ends**2)), rel=1e-10)


def test_the_model_is_deepxdes():
    result = solve(sine_problem(), **QUICK | {"iterations": 5})
    model = result.model
    assert isinstance(model, dde.Model) and model is result.model
    x = np.linspace(0, 1, 7)[:, None]
    assert model.predict(x) == pytest.approx(result.predict(x), rel=1e-13, abs=1e-15)
    before = result.errors.relative_l2
    model.train(iterations=200, display_every=10**6, verbose=0)
    after = np.linalg.norm(result.predict(x) - np.sin(PI * x)) / np.linalg.norm(np.sin(PI * x))
    assert after < before


def test_the_model_trains_the_unknowns_on():
    result = solve(decay(dde.Variable(0.5)), **QUICK | {"iterations": 10})
    before = result.unknowns["rate"]
    result.model.train(iterations=20, display_every=10**6, verbose=0)
    assert result.problem.unknowns["rate"].item() != before


KEYS = "problem parameters network method seed dtype relative_l2 max_error reference reference_error residual_rms"
KEYS += " n_parameters wall_seconds unknowns versions"


def test_result_file(saved):
    result, out = saved
    text = (out / "result.json").read_text()

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    stored = json.loads(text, parse_constant=refuse)
    assert set(KEYS.split()) <= set(stored)
    assert stored == json.loads(json.dumps(result.to_dict()))
    assert stored["seed"] == 3 and stored["network"] == "repnet" and stored["dtype"] == "float64"
    assert stored["relative_l2"] == result.errors.relative_l2
    assert stored["n_parameters"] == sum(p.numel() for p in result.net.parameters())
    assert stored["reference"] is None and stored["unknowns"] == {}
    assert {"repnet-pde", "torch", "deepxde", "numpy", "python"} <= set(stored["versions"])


def test_numbers_that_are_not_finite_are_null_in_the_file():
    result = solve(sine_problem(), **QUICK | {"iterations": 1})
    result.residuals["pde"] = float("nan")
    assert result.to_dict()["residual_rms"] is None


def test_solution_file(saved):
    result, out = saved
    data = load_solution(out)
    assert list(data.coords) == ["x"] and data.x.values[[0, -1]].tolist() == [0, 1]
    x = data.x.values[:, None]
    assert np.abs(data.u.values - result.predict(x)[:, 0]).max() < 1e-14
    assert data.u_solution.values == pytest.approx(np.sin(PI * x[:, 0]), abs=1e-15)
    assert data.u_error.values == pytest.approx(data.u.values - data.u_solution.values, abs=1e-15)
    assert data.attrs["relative_l2"] == result.errors.relative_l2


@pytest.mark.parametrize("name", ["solution.png", "error.png", "history.png", "first_layer.png"])
def test_pictures(saved, name):
    _, out = saved
    picture = matplotlib.image.imread(out / name)
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50
    assert 0.005 < (picture[..., :3].min(2) < 0.9).mean() < 0.95  # neither blank nor full


def test_pictures_leave_the_network_as_it_is(saved, tmp_path):
    result, _ = saved
    before = state(result)
    result.save(tmp_path / "again")
    assert same(before, state(result))
    assert {p.name for p in (tmp_path / "again").iterdir()} == {
        "result.json",
        "solution.nc",
        "solution.png",
        "error.png",
        "history.png",
        "first_layer.png",
    }


def test_space_time_and_several_components_are_written(tmp_path):
    domain = dde.geometry.GeometryXTime(LINE, dde.geometry.TimeDomain(0, 2))
    problem = Problem(
        geometry=domain,
        pde=lambda x, u: [dde.grad.jacobian(u, x, i=0, j=1) - u[:, 1:2], dde.grad.jacobian(u, x, i=1, j=0)],
        outputs=("p", "q"),
        sampling=Sampling(domain=30, boundary=10, initial=10),
    )
    result = solve(problem, **QUICK | {"iterations": 3}, out=tmp_path / "run")
    data = load_solution(tmp_path / "run")
    assert data.p.dims == ("x", "t") and data.t.values[-1] == 2
    i, j = 17, 40
    value = result.predict(np.array([[data.x.values[i], data.t.values[j]]]))[0]
    assert [data.p.values[i, j], data.q.values[i, j]] == pytest.approx(value, rel=1e-12)
    assert not (tmp_path / "run" / "error.png").exists()  # there is nothing to compare with


def test_problem_with_defaults_and_partials():
    """A pde with further arguments that have values is called with two."""
    import functools

    def pde(x, u, rate=3.0):
        return dde.grad.jacobian(u, x) + rate * u

    condition = {"left": dde.icbc.DirichletBC(LINE, lambda x: 1, left)}
    for function, rate in ((pde, 3), (functools.partial(pde, rate=2), 2), (lambda *both: pde(*both), 3)):
        problem = Problem(
            geometry=LINE,
            pde=function,
            conditions=condition,
            solution=lambda x, rate=rate: np.exp(-rate * x),
            sampling=Sampling(domain=30),
        )
        assert problem.term_names == ("pde", "left")
        assert solve(problem, **QUICK).errors.relative_l2 < 1e-2
