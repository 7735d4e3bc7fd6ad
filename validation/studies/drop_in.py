"""Two scripts in the style of DeepXDE's own examples, trained by one added line: ``repnet_pde.train(model)``.

    python -m repnet_pde.validation.studies.drop_in [--seeds N] [--time-limit SECONDS] [--json]

Allen-Cahn with a hard constraint (L. Lu et al., SIAM Rev. 63 (2021) 208-228):

    u_t = 0.001 u_xx + 5 (u - u³) on [-1, 1] × [0, 1],   u(x, 0) = x² cos πx,   u(±1, t) = -1,

and an inverse problem of reaction and diffusion with two species, D = 0.002 and k_f = 0.1 to be found from 1,000
observations of each:

    a_t = D a_xx - k_f a b²,   b_t = D b_xx - 2 k_f a b²   on [0, 1] × [0, 10],
    a = b = exp(-20 x) at t = 0,   a = b = 1 at x = 0,   a = b = 0 at x = 1.

Test data and observations are computed here by differences in space and an implicit integrator in time.
"""

import json
import statistics
import time

import click
import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import BarycentricInterpolator, RegularGridInterpolator

import repnet_pde
from repnet_pde.backend import dde, quiet, seeded, set_precision

DIFFUSION, RATE = 2e-3, 0.1


def allen_cahn_data(nodes: int = 400, times: int = 101) -> tuple[np.ndarray, np.ndarray]:
    """A uniform grid (n, 2) and values (n, 1) of the Allen-Cahn solution there, by Chebyshev collocation."""
    k = np.arange(nodes + 1)
    x = np.cos(np.pi * k / nodes)
    c = np.where((k == 0) | (k == nodes), 2.0, 1.0) * (-1.0) ** k
    difference = x[:, None] - x[None] + np.eye(nodes + 1)
    d = np.outer(c, 1 / c) / difference
    d -= np.diag(d.sum(1))
    d2 = d @ d

    def rate(_, u):
        full = np.concatenate([[-1.0], u, [-1.0]])
        return 1e-3 * (d2 @ full)[1:-1] + 5 * (u - u**3)

    def slope(_, u):
        return 1e-3 * d2[1:-1, 1:-1] + np.diag(5 - 15 * u**2)

    t = np.linspace(0, 1, times)
    start = (x**2 * np.cos(np.pi * x))[1:-1]
    found = solve_ivp(rate, (0, 1), start, "Radau", t, jac=slope, rtol=1e-10, atol=1e-11)
    u = np.vstack([-np.ones(times), found.y, -np.ones(times)])
    weights = (-1.0) ** k * np.where((k == 0) | (k == nodes), 0.5, 1.0)
    grid = np.linspace(-1, 1, 201)
    u = BarycentricInterpolator(x, u, wi=weights)(grid)
    xx, tt = np.meshgrid(grid, t, indexing="ij")
    return np.column_stack([xx.ravel(), tt.ravel()]), u.reshape(-1, 1)


def reaction_data(nodes: int = 401, times: int = 401) -> RegularGridInterpolator:
    """Both concentrations as a function of points (n, 2): fourth-order differences on a grid refined towards x = 0."""
    s = np.linspace(0, 1, nodes)  # x = s² resolves the steep start
    x, h = s**2, s[1] - s[0]
    # (a_xx) = (a_s / x_s)_s / x_s on half nodes, where x_s = 2 s
    half = (s[:-1] + s[1:]) / 2

    def diffuse(a):
        flux = np.diff(a) / h / (2 * half)
        return DIFFUSION * np.diff(flux) / h / (2 * s[1:-1])

    def full(u):
        return (np.concatenate([[1.0], v, [0.0]]) for v in np.split(u, 2))

    def rate(_, u):
        a, b = full(u)
        reaction = RATE * (a * b**2)[1:-1]
        return np.concatenate([diffuse(a) - reaction, diffuse(b) - 2 * reaction])

    start = np.tile(np.exp(-20 * x[1:-1]), 2)
    t = np.linspace(0, 10, times)
    n = len(x) - 2
    sparsity = np.zeros((2 * n, 2 * n))
    near = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) <= 1
    for i in (0, 1):
        for j in (0, 1):
            sparsity[i * n : (i + 1) * n, j * n : (j + 1) * n] = near if i == j else np.eye(n)
    found = solve_ivp(rate, (0, 10), start, "BDF", t, rtol=1e-9, atol=1e-11, jac_sparsity=sparsity)
    values = np.stack([np.stack(list(full(u)), 1) for u in found.y.T], 1)
    return RegularGridInterpolator((s, t), values, method="cubic")


def allen_cahn(time_limit: float, seed: int) -> dict:
    """DeepXDE's example with one line changed; returns the relative L2 error and the seconds."""
    dde.config.set_random_seed(seed)
    geomtime = dde.geometry.GeometryXTime(dde.geometry.Interval(-1, 1), dde.geometry.TimeDomain(0, 1))

    def pde(x, y):
        dy_t = dde.grad.jacobian(y, x, i=0, j=1)
        dy_xx = dde.grad.hessian(y, x, i=0, j=0)
        return dy_t - 0.001 * dy_xx - 5 * (y - y**3)

    def output_transform(x, y):
        return x[:, 0:1] ** 2 * torch.cos(np.pi * x[:, 0:1]) + x[:, 1:2] * (1 - x[:, 0:1] ** 2) * y

    data = dde.data.TimePDE(geomtime, pde, [], num_domain=2400, num_boundary=100, num_initial=200)
    net = dde.nn.FNN([2] + [20] * 3 + [1], "tanh", "Glorot normal")
    net.apply_output_transform(output_transform)
    model = dde.Model(data, net)

    begun = time.perf_counter()
    repnet_pde.train(model, time_limit=time_limit, verbose=0)  # the one line
    took = time.perf_counter() - begun

    x, u = allen_cahn_data()
    return {"error": float(dde.metrics.l2_relative_error(u, model.predict(x))), "seconds": took}


def reaction(time_limit: float, seed: int) -> dict:
    """The inverse example with one line changed; relative errors of both parameters and the seconds."""
    dde.config.set_random_seed(seed)
    concentrations = reaction_data()
    kf, d = dde.Variable(0.05), dde.Variable(1.0)

    def pde(x, y):
        ca, cb = y[:, 0:1], y[:, 1:2]
        dca_t, dcb_t = dde.grad.jacobian(y, x, i=0, j=1), dde.grad.jacobian(y, x, i=1, j=1)
        dca_xx = dde.grad.hessian(y, x, component=0, i=0, j=0)
        dcb_xx = dde.grad.hessian(y, x, component=1, i=0, j=0)
        eq_a = dca_t - 1e-3 * d * dca_xx + kf * ca * cb**2
        return [eq_a, dcb_t - 1e-3 * d * dcb_xx + 2 * kf * ca * cb**2]

    geomtime = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 10))
    conditions = []
    for component in (0, 1):
        conditions += [
            dde.icbc.DirichletBC(geomtime, lambda x: 1 - x[:, 0:1], lambda _, on: on, component=component),
            dde.icbc.IC(geomtime, lambda x: np.exp(-20 * x[:, 0:1]), lambda _, on: on, component=component),
        ]
    observed = np.random.default_rng(seed).uniform([0, 0], [1, 10], (1000, 2))
    values = concentrations(np.column_stack([np.sqrt(observed[:, 0]), observed[:, 1]]))
    for component in (0, 1):
        conditions.append(
            dde.icbc.PointSetBC(observed, values[:, component : component + 1], component=component),
        )
    data = dde.data.TimePDE(geomtime, pde, conditions, num_domain=1200, num_boundary=100, num_initial=100)
    net = dde.nn.FNN([2] + [20] * 3 + [2], "tanh", "Glorot uniform")
    model = dde.Model(data, net)
    model.compile("adam", lr=0.001, external_trainable_variables=[kf, d])

    begun = time.perf_counter()
    repnet_pde.train(model, time_limit=time_limit, verbose=0)  # the one line
    took = time.perf_counter() - begun
    return {"D": abs(1e-3 * d.item() / DIFFUSION - 1), "k_f": abs(kf.item() / RATE - 1), "seconds": took}


SCRIPTS = {"Allen-Cahn": allen_cahn, "reaction-diffusion": reaction}


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--time-limit", type=float, default=110.0, show_default=True, help="Seconds of each training.")
@click.option("--only", type=click.Choice(list(SCRIPTS)), help="One of the scripts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(seeds: int, time_limit: float, only: str | None, as_json: bool) -> None:
    set_precision("float64")
    torch.set_num_threads(1)
    found: dict[str, dict] = {}
    for name, script in SCRIPTS.items():
        if only in (None, name):
            with quiet():
                runs = []
                for seed in range(seeds):
                    with seeded(seed):
                        runs.append(script(time_limit, seed))
            found[name] = {key: [run[key] for run in runs] for key in runs[0]}
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo("| script | quantity | median | smallest | largest |\n|---|---|---|---|---|")
    for name, quantities in found.items():
        for key, values in quantities.items():
            cells = (statistics.median(values), min(values), max(values))
            what = {"seconds": "seconds", "error": "relative L2 error"}.get(key, f"relative error of {key}")
            click.echo(f"| {name} | {what} | " + " | ".join(f"{v:.2g}" for v in cells) + " |")


if __name__ == "__main__":
    main()
