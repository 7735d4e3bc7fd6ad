"""Common head of the reports: date, machine, versions and settings, and the problems."""

import ast
from collections.abc import Sequence
from pathlib import Path

from ....problem.load import locate
from ..campaign import OUTCOME, Stored
from .parts import duration, mebibytes


def campaign_facts(store: Path, runs: Sequence[Stored], missing: int, settings: dict) -> dict[str, str]:
    """From the outcomes of its ``runs``, each one once; ``missing`` are not there. settings: what was asked for."""
    failed = sum(run.failed is not None for run in runs)
    others = len(list(store.glob(f"runs/*/{OUTCOME}"))) - len(runs)
    facts = {
        "Asked for": ", ".join(f"{name} {value}" for name, value in settings.items()),
        "Runs": f"{len(runs)} of {len(runs) + missing} stored, {failed} of them failed",
    }
    if others:
        facts["Other runs"] = f"{others}, of other settings, versions of the package or files of the problems"
    if not runs:
        return facts
    ended = sorted(run.outcome["ended"] for run in runs if "ended" in run.outcome)
    machines = [run.outcome["machine"] for run in runs if "machine" in run.outcome]
    facts |= {
        "Made": " to ".join(dict.fromkeys(when[:16].replace("T", " ") for when in (ended[:1] + ended[-1:])))
        + (" UTC" if ended else "not recorded"),
        "Time": f"{duration(sum(run.outcome['seconds'] for run in runs))}, all runs one after the other",
        "Memory": f"at most {mebibytes(max(run.outcome['peak_memory_mib'] for run in runs))} MiB a run",
        "Versions": _versions([run["versions"] for run in runs if not run.failed]),
        "Machines": "; ".join(dict.fromkeys(_machine(machine) for machine in machines)) or "not recorded",
    }
    return facts


def _versions(found: Sequence[dict]) -> str:
    """Each name with all versions that occur."""
    names = list(dict.fromkeys(name for versions in found for name in versions))
    return ", ".join(f"{name} {' and '.join(dict.fromkeys(v[name] for v in found if name in v))}" for name in names)


def _machine(machine: dict) -> str:
    return f"{machine['host']}: {machine['processor']}, {machine['cores']} cores, {machine['system']}"


def docstring(problem: str) -> tuple[str, str]:
    """The first line and the rest of what the problem's file says of itself."""
    try:
        text = ast.get_docstring(ast.parse(locate(problem)[1].read_bytes())) or ""
    except (SyntaxError, ValueError):  # its runs say so
        text = ""
    title, _, rest = text.partition("\n")
    return title, rest.strip("\n")
