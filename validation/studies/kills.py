"""Kill every method at random moments, resume it each time, and compare it with a run that was never stopped.

    python -m repnet_pde.validation.studies.kills --kills 1000 --seed 0

Each run is a process that is forked from one in which everything is imported already, and killed (SIGKILL) after a
random part of the seconds that the whole run takes; then it is resumed in the next one, until it ends. Network,
unknowns, optimiser, history, random states, result and solution have to be equal to the last bit, times aside, and no
file may be damaged. A kill that leaves no description of the run behind is followed by a new run. Exits with 1 where
anything differs. The kills of `kill_resume` include the start of the interpreter, imports and the writing of files.
"""

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from repnet_pde import fit, identify, load_problem, resume, solve
from repnet_pde.methods import METHODS
from repnet_pde.output import pictures

from . import kill_resume

DECAY = kill_resume.PROBLEM.replace("(0.5)", "(1.5)")
CUBIC = '''"""u_t = d u_xx - r u² + f on [0, 1] x [0, 1], with u = exp(-t) sin(pi x); d and r from values of u."""

import math

import deepxde as dde
import numpy as np
import torch
from repnet_pde import Problem


def problem():
    domain = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    d, r = dde.Variable(0.1), dde.Variable(0.3)

    def pde(x, u):
        s = torch.exp(-x[:, 1:2]) * torch.sin(math.pi * x[:, 0:1])
        f = -s + 0.2 * math.pi**2 * s + 0.7 * s**2
        return dde.grad.jacobian(u, x, j=1) - d * dde.grad.hessian(u, x, i=0, j=0) + r * u**2 - f

    points = np.random.default_rng(0).uniform(0.05, 0.95, (40, 2))
    exact = np.exp(-points[:, 1:2]) * np.sin(math.pi * points[:, 0:1])
    conditions = {
        "start": dde.icbc.IC(domain, lambda x: np.sin(math.pi * x[:, 0:1]), lambda x, on: on),
        "edge": dde.icbc.DirichletBC(domain, lambda x: 0, lambda x, on: on),
        "data u": dde.icbc.PointSetBC(points, exact),
    }
    return Problem(geometry=domain, pde=pde, conditions=conditions, unknowns={"d": d, "r": r})
'''
FILES = {"decay.py": DECAY, "cubic.py": CUBIC}
POOR = -1.0
"""In place of `identify.POOR`, for the case in which another method follows."""


@dataclass(frozen=True)
class Case:
    """A small run: of `solve` or `identify`, with its arguments; ``poor``: whether another method is to follow."""

    verb: Callable[..., Any]
    problem: str
    options: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    poor: bool = False


_DEEP = {"network_options": {"layers": [12, 12]}}
CASES = {
    "least-squares": Case(solve, "bratu_1d", {"method": "least-squares", "network_options": {"layers": [60]}}),
    "patching": Case(solve, "poisson_two_scale_1d", {"method": "patching", "iterations": 2}),
    "low-rank": Case(solve, "heat_multiscale_2d", {"method": "low-rank", "iterations": 6}, {"m": 2}),
    "marching": Case(solve, "klein_gordon_1d", {"method": "marching"}, {"omega": 3}),
    "patch-marching": Case(solve, "klein_gordon_1d", {"method": "patch-marching"}, {"omega": 3}),
    "joint": Case(identify, "lorenz", {"method": "joint", "network_options": {"layers": [60]}, "starts": 2}),
    "shooting": Case(identify, "cubic.py", {"method": "shooting", "iterations": 16}),
    "gauss-newton": Case(solve, "decay.py", {"method": "gauss-newton", "iterations": 40} | _DEEP),
    "ssbroyden": Case(solve, "decay.py", {"method": "ssbroyden", "iterations": 150} | _DEEP),
    "adam": Case(solve, "decay.py", {"method": "adam", "iterations": 400} | _DEEP),
    "soap": Case(solve, "decay.py", {"method": "soap", "iterations": 300} | _DEEP),
    "lbfgs": Case(solve, "decay.py", {"method": "lbfgs", "iterations": 150} | _DEEP),
    "adam+lbfgs": Case(solve, "decay.py", {"method": "adam+lbfgs", "iterations": 150} | _DEEP),
    "identify, then gauss-newton": Case(identify, "decay.py", poor=True),
}
"""Every method of the table, and stages and runs that follow one another."""
assert set(METHODS) <= set(CASES)


def begin(case: Case, folder: Path, out: Path) -> None:
    """Begin the run in ``out``, or resume it where it has been described."""
    pictures.draw = lambda *_: []  # they take longer than these runs
    torch.set_num_threads(1)
    if case.poor:
        sys.modules[identify.__module__].POOR = POOR
    if (out / "run.json").exists():
        resume(out, progress=False, checkpoint_seconds=0.02)
        return
    name = str(folder / case.problem) if case.problem in FILES else case.problem
    problem = load_problem(name, **case.parameters)
    case.verb(problem, out=out, progress=False, checkpoint_seconds=0.02, **case.options)


def begin_fit(out: Path) -> None:
    """A fit by Adam, which is begun again in the same words."""
    x = np.linspace(0, 1, 200)
    out.mkdir(exist_ok=True)
    options = {"method": "adam", "iterations": 600, "network_options": {"layers": [9]}, "progress": False}
    fit(x, np.sin(20 * x), out=out / "some.fit", checkpoint_seconds=0.02, **options)


def forked(work: Callable[[], None], seconds: float) -> bool:
    """Whether a forked process has done the work; it is killed after so many seconds."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"a run failed: status {status}")
            return True
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def survives(name: str, kills: int, chance: random.Random) -> list[str]:
    """Where a run of a case that is killed so often, in as many rounds as it takes, differs from one that is not."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for file, text in FILES.items():
            (folder / file).write_text(text)

        def work(out: Path) -> Callable[[], None]:
            return (lambda: begin_fit(out)) if name == "fit" else (lambda: begin(CASES[name], folder, out))

        whole, started = folder / "whole", time.monotonic()
        forked(work(whole), np.inf)
        seconds, done = time.monotonic() - started, 0
        while done < kills:
            out = folder / "killed"
            while done < kills and not forked(work(out), chance.uniform(0, seconds)):
                done += 1
            forked(work(out), np.inf)
            found += _compared(whole, out)
            shutil.rmtree(out)
    return found


def _compared(whole: Path, other: Path) -> list[str]:
    if not (whole / "some.fit").exists():
        return kill_resume.compare(whole, other)
    states = [torch.load(run / "some.fit", weights_only=True) for run in (whole, other)]
    return kill_resume.differences(*states)


@click.command(help=__doc__.split("\n")[0])
@click.option("--kills", default=1000, show_default=True, help="Of all methods together.")
@click.option("--seed", default=0, show_default=True)
@click.option("--only", multiple=True, type=click.Choice([*CASES, "fit"]))
def main(kills: int, seed: int, only: tuple[str, ...]) -> None:
    names, chance, wrong = only or (*CASES, "fit"), random.Random(seed), 0
    click.echo("| what is killed | kills | s | differences |\n|---|---|---|---|")
    for i, name in enumerate(names):
        count, begun = kills // len(names) + (i < kills % len(names)), time.monotonic()
        found = survives(name, count, chance)
        wrong += bool(found)
        click.echo(f"| {name} | {count} | {time.monotonic() - begun:.0f} | {'; '.join(found[:3]) or 'none'} |")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
