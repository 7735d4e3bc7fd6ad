"""Do limits hold? The command line on every problem, with a limit of time, and with one of memory.

    python -m repnet_pde.validation.studies.limits --time-limit 5
    python -m repnet_pde.validation.studies.limits --time-limit 30 --memory-limit 1GB

Of each problem of the catalogue and of `OWN`, problems of other kinds: the seconds from the end of the imports to the
end of the process, those to the first line on standard error, the most memory of the process, and how it ended. A
limit of time holds if it is exceeded by at most 3 s or a tenth; the references are computed anew, in an empty cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from repnet_pde import load_problem
from repnet_pde.problem.load import catalogue

ALLOWED, PART = 3.0, 0.1
"""Seconds, and part of the limit, by which it may be exceeded."""

COLUMNS = ("problem", "s", "first line, s", "over, s", "peak, MB", "exit code", "last line")

_CHILD = """
import sys
import repnet_pde.cli.main, repnet_pde.output.pictures, repnet_pde.running.identify, repnet_pde.running.resume
print("READY", file=sys.stderr, flush=True)
repnet_pde.cli.main.main(sys.argv[1:])
"""

OWN = {
    "poisson_5d": '''"""Poisson's equation in five coordinates."""

import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem():
    box = dde.geometry.Hypercube([0] * 5, [1] * 5)

    def pde(x, u):
        return sum(dde.grad.hessian(u, x, i=i, j=i) for i in range(5)) + 1

    conditions = {"sides": dde.icbc.DirichletBC(box, lambda x: 0, lambda x, on: on)}
    return Problem(geometry=box, pde=pde, conditions=conditions)
''',
    "burgers_2d": '''"""Burgers' equation for one component in the plane and time."""

import deepxde as dde
import numpy as np
from repnet_pde import Problem


def problem():
    domain = dde.geometry.GeometryXTime(dde.geometry.Rectangle([0, 0], [1, 1]), dde.geometry.TimeDomain(0, 1))

    def pde(x, u):
        first = [dde.grad.jacobian(u, x, j=j) for j in range(3)]
        second = dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)
        return first[2] + u * (first[0] + first[1]) - 0.01 * second

    def start(x):
        return np.sin(np.pi * x[:, 0:1]) * np.sin(np.pi * x[:, 1:2])

    conditions = {
        "start": dde.icbc.IC(domain, start, lambda x, on: on),
        "sides": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on: on),
    }
    return Problem(geometry=domain, pde=pde, conditions=conditions)
''',
    "plate_with_holes": '''"""Laplace's equation on a plate with eight holes."""

import deepxde as dde
from repnet_pde import Problem


def problem():
    plate = dde.geometry.Rectangle([0, 0], [4, 2])
    for i in range(4):
        for j in range(2):
            plate = dde.geometry.CSGDifference(plate, dde.geometry.Disk([0.5 + i, 0.5 + j], 0.2))

    def pde(x, u):
        return dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)

    conditions = {"all": dde.icbc.DirichletBC(plate, lambda x: x[:, 0:1] ** 2 - x[:, 1:2], lambda x, on: on)}
    return Problem(geometry=plate, pde=pde, conditions=conditions)
''',
    "helmholtz_3d": '''"""Helmholtz' equation in a cube, three waves along each axis."""

import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem


def problem():
    cube, k = dde.geometry.Cuboid([0, 0, 0], [1, 1, 1]), 6 * np.pi

    def pde(x, u):
        laplacian = sum(dde.grad.hessian(u, x, i=i, j=i) for i in range(3))
        return laplacian + k**2 * u + 2 * k**2 * torch.sin(k * x).prod(1, keepdim=True)

    conditions = {"sides": dde.icbc.DirichletBC(cube, lambda x: 0, lambda x, on: on)}
    return Problem(geometry=cube, pde=pde, conditions=conditions)
''',
    "predator_prey": '''"""Lotka and Volterra's equations over a long time."""

import deepxde as dde
from repnet_pde import Problem


def problem():
    time = dde.geometry.TimeDomain(0, 60)

    def pde(t, u):
        x, y = u[:, 0:1], u[:, 1:2]
        return [
            dde.grad.jacobian(u, t, i=0) - x * (1 - y),
            dde.grad.jacobian(u, t, i=1) - y * (x - 1),
        ]

    conditions = {
        "prey": dde.icbc.IC(time, lambda t: 2, lambda t, on: on, component=0),
        "predator": dde.icbc.IC(time, lambda t: 1, lambda t, on: on, component=1),
    }
    return Problem(geometry=time, pde=pde, conditions=conditions, outputs=("x", "y"))
''',
}
"""Name -> file of a problem that the limits were not made for."""


@dataclass(frozen=True)
class Seen:
    """seconds: from the end of the imports. first: to the first line. peak: bytes. code: of the exit. said: the last
    line."""

    seconds: float
    first: float
    peak: int
    code: int
    said: str


def look(arguments: list[str], cache: Path) -> Seen:
    """Run the command line with these arguments, and look at it from outside."""
    environment = os.environ | {"REPNET_PDE_CACHE": str(cache)}
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    ready, first, said = 0.0, 0.0, ""
    assert process.stderr is not None
    for line in process.stderr:
        now, said = time.monotonic(), line.strip()
        if not ready:
            ready = now
        elif not first:
            first = now
    _, status, use = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Seen(time.monotonic() - ready, max(first - ready, 0.0), 1024 * use.ru_maxrss, process.returncode, said)


def _has_unknowns(name: str) -> bool:
    problem = load_problem(name)
    return bool(problem.unknowns or problem.unknown_fields)


@click.command(help=__doc__.split("\n")[0])
@click.argument("names", nargs=-1)
@click.option("--time-limit", default=5.0, show_default=True)
@click.option("--memory-limit", help="Such as 1GB.")
def main(names: tuple[str, ...], time_limit: float, memory_limit: str | None) -> None:
    click.echo(f"{time_limit:g} s, memory {memory_limit or 'not limited'}, kernels of {os.cpu_count()} cores\n")
    click.echo(
        "| problem | s | first line, s | over | peak, MB | exit code | last line |\n|---|---|---|---|---|---|---|"
    )
    over = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in OWN.items():
            (folder / f"{name}.py").write_text(text)
        for name in names or (*catalogue(), *OWN):
            file = str(folder / f"{name}.py") if name in OWN else name
            verb = "identify" if name not in OWN and _has_unknowns(name) else "solve"
            limits = ["--time-limit", str(time_limit)] + (["--memory-limit", memory_limit] if memory_limit else [])
            seen = look([verb, file, *limits, "--out", str(folder / f"run_{name}")], folder / "cache")
            late = max(seen.seconds - time_limit, 0.0)
            over += late > max(ALLOWED, PART * time_limit)
            row = f"{seen.seconds:.1f} | {seen.first:.1f} | {late:.1f} | {seen.peak / 1e6:.0f} | {seen.code}"
            click.echo(f"| {name} | {row} | {seen.said[:60]} |")
    click.echo(f"\nexceeded by more than max({ALLOWED:g} s, {PART:.0%}): {over}")


if __name__ == "__main__":
    main()
