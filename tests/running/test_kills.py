"""A short form of the study that kills every method at random moments."""

import subprocess
import sys


def test_killed_at_random_moments():
    names = ("patching", "soap", "fit")
    command = [sys.executable, "-m", "repnet_pde.validation.studies.kills", "--kills", "3"]
    done = subprocess.run(
        [*command, *(f"--only={name}" for name in names)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[0].strip("| ") for row in rows] == list(names)
    assert all(row[1] == "1" and row[3].startswith("none") for row in rows)
