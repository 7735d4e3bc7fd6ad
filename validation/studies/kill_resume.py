"""Kill a run with SIGKILL again and again, resume it each time, and compare it with one that was never stopped.

    python -m repnet_pde.validation.studies.kill_resume --kills 20 --seed 0

The kills are spread over the start of the process (imports and set-up), training, the writing of checkpoints, and the
writing of results. Network, unknowns, optimiser, history, random states, result and solution of the two runs must be
equal to the last bit, times aside. Exits with 1 where they are not.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROBLEM = '''"""u' = -rate u on [0, 1], where the rate is to be found from values of exp(-2 t)."""

import deepxde as dde
import numpy as np
from repnet_pde import Problem, Sampling


def problem():
    time, rate = dde.geometry.TimeDomain(0, 1), dde.Variable(0.5)
    t = np.linspace(0, 1, 11)[:, None]
    return Problem(
        geometry=time,
        pde=lambda t, u: dde.grad.jacobian(u, t) + rate * u,
        conditions={"data": dde.icbc.PointSetBC(t, np.exp(-2 * t))},
        unknowns={"rate": rate},
        solution=lambda t: np.exp(-2 * t),
        sampling=Sampling(domain=50, distribution="pseudo"),
    )
'''
PHASES = ("start", "training", "checkpoint", "result")
UNFINISHED = {"checkpoint": ("checkpoint",), "result": ("result", "solution", "error", "history", "first_layer")}
PATIENCE = 300.0  # seconds in which a process must come to where it is to be killed


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "repnet_pde", *map(str, arguments)]


def start(folder: Path, out: Path, iterations: str) -> subprocess.Popen:
    """Begin the run in ``out``, or resume it where it has begun."""
    if (out / "run.json").exists():
        arguments = command("resume", out, "--checkpoint-seconds", 0.02)
    else:
        arguments = command(
            "solve",
            folder / "decay.py",
            *(
                "--layers",
                "16,16",
                "--method",
                "adam+lbfgs",
                "--iterations",
                iterations,
                "--out",
                out,
                "--checkpoint-seconds",
                0.02,
            ),
        )
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def kill_at(process: subprocess.Popen, phase: str, out: Path, begun: float, chance: random.Random) -> str | None:
    """Kill the process in ``phase``; what was going on, or None where it ended before."""
    if phase == "start":
        moment = time.monotonic() + chance.uniform(0, begun)
        while process.poll() is None and time.monotonic() < moment:
            time.sleep(0.001)
    else:
        before, limit = stamp(out), time.monotonic() + PATIENCE
        file = chance.choice(UNFINISHED.get(phase, (None,)))
        while process.poll() is None and time.monotonic() < limit:
            if phase == "training" and stamp(out) != before:  # the first checkpoint of this process: it trains
                time.sleep(chance.uniform(0, 0.3))
                break
            if phase != "training" and stamp(out) != before and file in unfinished(out):
                break
            time.sleep(0.0002)
    if process.poll() is not None:
        return None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return "+".join(unfinished(out)) or "no file open"


def unfinished(out: Path) -> list[str]:
    """Which files are being written, or were when a process was killed."""
    return [path.name.partition("-")[0].lstrip(".") for path in out.glob(".*-*")]


def stamp(out: Path) -> int:
    try:
        return (out / "checkpoint.pt").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def differences(one, other, path: str = "") -> list[str]:
    """Where two nested values differ to the last bit; seconds and memory are left aside."""
    import torch

    if path.endswith(("seconds", "peak_memory")):
        return []
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [d for key in one for d in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, (list, tuple)) and type(one) is type(other) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{path}/{i}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        equal = (
            one.dtype == other.dtype and one.shape == other.shape and one.numpy().tobytes() == other.numpy().tobytes()
        )
    else:
        equal = type(one) is type(other) and (one == other or one != one and other != other)
    return [] if equal else [path or "value"]


def compare(one: Path, other: Path) -> list[str]:
    """Where the files of two finished runs differ."""
    import torch
    import xarray

    states = [torch.load(run / "checkpoint.pt", weights_only=True) for run in (one, other)]
    found = [f"checkpoint.pt{d}" for d in differences(*states)]
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    found += [f"result.json{d}" for d in differences(*results)]
    with (
        xarray.open_dataset(one / "solution.nc", engine="scipy") as a,
        xarray.open_dataset(other / "solution.nc", engine="scipy") as b,
    ):
        if not a.identical(b):
            found.append("solution.nc")
    pictures = [sorted(p.name for p in run.iterdir()) for run in (one, other)]
    return found if pictures[0] == pictures[1] else [*found, f"files: {pictures[0]} and {pictures[1]}"]


def finish(process: subprocess.Popen) -> None:
    _, said = process.communicate()
    if process.returncode:
        raise SystemExit(f"the run failed with exit code {process.returncode}: {said}")


def run(folder: Path, kills: int, seed: int, iterations: str, say=print) -> list[str]:
    """Both runs in ``folder``; where they differ."""
    chance = random.Random(seed)
    (folder / "decay.py").write_text(PROBLEM)
    whole, killed = folder / "never_stopped", folder / "killed"
    begin = time.monotonic()
    process = start(folder, whole, iterations)
    while process.poll() is None and not stamp(whole):
        time.sleep(0.001)
    begun = time.monotonic() - begin
    finish(process)
    say(f"never stopped: {begun:.1f} s to the first checkpoint, {time.monotonic() - begin:.1f} s in all")
    # Results are written at the end alone: kills there come last.
    phases = sorted((PHASES[i % len(PHASES)] for i in range(kills)), key=lambda p: p == "result")
    early = [p for p in phases if p != "result"]
    chance.shuffle(early)
    done = 0
    for phase in early + phases[len(early) :]:
        process = start(folder, killed, iterations)
        during = kill_at(process, phase, killed, begun, chance)
        if during is None:  # it ended first: the next one is killed at its start, which always works
            finish(process)
            say(f"    {phase}: ended before it was killed")
            process = start(folder, killed, iterations)
            during, phase = kill_at(process, "start", killed, 0.5 * begun, chance), "start"
        process.stderr.close()
        if during is not None:
            done += 1
            say(f"kill {done:3d} during {phase:10s} ({during}); checkpoint: {progress(killed)}")
    finish(start(folder, killed, iterations))
    found = compare(whole, killed)
    if done < kills:
        found.append(f"only {done} of {kills} kills hit")
    return found


def progress(out: Path) -> str:
    import torch

    path = out / "checkpoint.pt"
    if not path.exists():
        return "none"
    state = torch.load(path, weights_only=True)  # whole at every moment, or this raises
    recorded = state["history"]["iteration"]
    return f"stage {state['progress']['stage'] + 1}, iteration {recorded[-1] if recorded else 0} or later"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", default="adam=1000,lbfgs=200", help="as for repnet-pde solve")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), options.kills, options.seed, options.iterations)
    for place in found:
        print(f"DIFFERENT: {place}")
    if found:
        sys.exit(1)
    print(
        f"{options.kills} kills: network, unknowns, optimiser, history, random states and results are equal bit by bit"
    )


if __name__ == "__main__":
    main()
