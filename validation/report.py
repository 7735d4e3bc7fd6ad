from pathlib import Path


def write(directory) -> Path:
    return Path(directory)
