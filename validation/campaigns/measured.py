"""What `repnet-pde list` and the documentation show of each problem, from the stored runs of a validation.

    repnet-pde validate --seeds 3 --jobs 2
    python -m repnet_pde.validation.campaigns.measured runs/validation --pictures docs/solutions

writes ``measured.json`` beside the catalogue's files, and a picture of each solution.
"""

import json
from pathlib import Path

import click

from ...files import read_json, write_atomically
from ...problem.load import MEASURED, catalogue, folder
from .campaign import CAMPAIGN
from .validate import Validation, collect


def measured(found: list[Validation]) -> dict[str, float]:
    """Problem of the catalogue -> its median error over the seeds, relative L2 or of the unknowns, two digits."""
    errors = {v.problem: v.error for v in found if not v.missing}
    return {name: float(f"{errors[name]:.1e}") for name in catalogue() if errors.get(name) is not None}


@click.command(help=__doc__.partition("\n")[0])
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--pictures", type=click.Path(path_type=Path), help="Where the pictures go.")
def main(directory: Path, pictures: Path | None) -> None:
    from .report.pictures import shrunk

    asked = read_json(directory / CAMPAIGN)
    if asked["kind"] != "validate":
        raise click.UsageError(f"directory: {str(directory)!r} holds no validation, but what {asked['kind']} made")
    found = collect(directory, asked["options"])
    text = json.dumps(measured(found), indent=1, sort_keys=True) + "\n"
    write_atomically(folder() / MEASURED, lambda path: path.write_text(text))
    if pictures is None:
        return
    pictures.mkdir(parents=True, exist_ok=True)
    names = catalogue()
    for v in found:
        drawn = [run.directory / "solution.png" for run in v.runs if (run.directory / "solution.png").exists()]
        if v.problem in names and drawn:
            (pictures / f"{v.problem}.png").write_bytes(shrunk(drawn[0])[0])


if __name__ == "__main__":
    main()
