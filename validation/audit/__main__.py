"""The command of the audit: run the cases, store the outcomes, and evaluate the statements.

    python -m repnet_pde.validation.audit --jobs 2
    python -m repnet_pde.validation.audit --only contrast:3

Outcomes are stored one by one, so that repeating the command continues after an interruption; those of another version
of the package are not used. The exit code is 1 if a criterion is not met.
"""

import sys
from pathlib import Path

import click
import torch

from ...errors import InputError, RepNetPDEError, choose
from ...files import write_json
from ...running.result import plain
from .case import HALVES, Outcome
from .judge import false, figures, markdown, said
from .runs import Key, Store, carry_out, digest, half_of, perform


@click.command(help=__doc__)
@click.option("--seed", default=0, show_default=True, help="Of the generator.")
@click.option("--half", type=click.Choice([*HALVES, "both"]), default="both", show_default=True)
@click.option("--kinds", "wanted", default="", help="Only these kinds, separated by commas.")
@click.option("--number", type=click.IntRange(1), help="Cases of each kind. Default: as many as the kind has.")
@click.option("--only", metavar="KIND:NUMBER", help="One case in this process; nothing is stored.")
@click.option("--short", "few", is_flag=True, help="A few quick cases of most kinds.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes, of one thread each.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds of processor time after which a case is ended.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/audit"), show_default=True)
def main(*, seed, half, wanted, number, only, few, jobs, limit, out) -> None:
    try:
        halves = HALVES if half == "both" else (half,)
        if only is not None:
            torch.set_num_threads(1)
            found = one(halves, only, seed)
        else:
            keys = select(halves, wanted, number, few)
            found = audit(keys, seed, jobs=jobs, limit=limit, out=out / f"seed-{seed}")
    except RepNetPDEError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        click.echo("interrupted; what is over is stored, and the same command goes on with the rest", err=True)
        sys.exit(130)
    sys.exit(0 if all(figure.met for figure in figures(found)) else 1)


def one(halves, only: str, seed: int) -> list[Outcome]:
    """One case, with all statements about it on standard output."""
    name, _, digits = only.partition(":")
    if not digits.isdecimal():
        raise InputError(f"only: {only!r} given; the name of a kind and a number, such as contrast:3, are needed")
    choose("only", name, [kind for half in halves for kind in half_of(half).KINDS])
    half = next(half for half in halves if name in half_of(half).KINDS)
    outcome = perform(half, name, int(digits), seed)
    for field, value in outcome.to_dict().items():
        click.echo(f"{field}: {value}")
    for what in false(outcome):
        click.echo(f"FALSE: {what}")
    return [outcome]


def select(halves, wanted: str, number: int | None, few: bool) -> list[Key]:
    """The requested cases. Raises InputError for an unknown kind."""
    names = [name for name in wanted.split(",") if name]
    for name in names:
        choose("kinds", name, [kind for half in halves for kind in half_of(half).KINDS])
    keys = []
    for half in halves:
        for name, kind in half_of(half).KINDS.items():
            if names and name not in names:
                continue
            numbers = half_of(half).SHORT.get(name, ()) if few else range(number or kind.number)
            keys += [(half, name, n) for n in numbers]
    return keys


def audit(keys: list[Key], seed: int, *, jobs: int, limit: float, out: Path) -> list[Outcome]:
    """Run the cases not stored yet; write ``audit.md`` and ``audit.json``, even if incomplete, and print the former."""
    store = Store(out, digest())
    stored = {key: store.read(key) for key in keys}
    missing = [key for key, outcome in stored.items() if outcome is None]
    try:
        for outcome in carry_out(missing, seed, jobs=jobs, limit=limit, source=store.source):
            store.write(outcome)
            stored[outcome.key] = outcome
            left = sum(o is None for o in stored.values())
            line = f"{outcome.kind} {outcome.number}: {'FALSE: ' * bool(false(outcome))}{said(outcome)}"
            click.echo(f"{line[:150]} ({outcome.seconds:.1f} s; {left} left)", err=True)
    finally:
        found = [outcome for outcome in stored.values() if outcome is not None]
        if found:
            words = [f"python -m repnet_pde.validation.audit --seed {seed}", *_options()]
            text = markdown(found, " ".join(words), len(stored) - len(found))
            (out / "audit.md").write_text(text, encoding="utf-8")
            rows = {"figures": [_plain(f) for f in figures(found)], "outcomes": [o.to_dict() for o in found]}
            write_json(out / "audit.json", plain(rows))
    click.echo(text if found else "nothing to audit")
    return found


def _plain(figure) -> dict:
    offenders = [[o.kind, o.number] for o in figure.offenders]
    return {"name": figure.name, "value": figure.value, "bound": figure.bound, "met": figure.met, "missed": offenders}


def _options() -> list[str]:
    """The other options, as given."""
    context = click.get_current_context(silent=True)
    if context is None:
        return []
    given = context.params
    words = [f"--{name} {given[key]}" for name, key in (("kinds", "wanted"), ("number", "number")) if given[key]]
    words += [f"--half {given['half']}"] if given["half"] != "both" else []
    return words + ["--short"] * given["few"]


if __name__ == "__main__":
    main()
