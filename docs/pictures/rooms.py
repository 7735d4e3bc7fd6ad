"""The folders of the package, from the lowest: each imports from itself and from those below it."""

import matplotlib.pyplot as plt

ROWS = (
    ("cli",),
    ("operators", "running"),
    ("planning",),
    ("fitting",),
    ("training",),
    ("methods",),
    ("output", "inverse", "checking"),
    ("analysis",),
    ("discretization",),
    ("problem",),
    ("networks", "linalg", "validation/finite_difference"),
    ("arguments", "backend", "files", "domain"),
    ("errors", "limits", "memory", "threads", "progress"),
)
COLOURS = {
    "cli": "C7",
    "operators": "C4",
    "running": "C3",
    "planning": "C3",
    "fitting": "C4",
    "training": "C3",
    "methods": "C1",
    "output": "C7",
    "inverse": "C4",
    "checking": "C2",
    "analysis": "C2",
    "discretization": "C0",
    "problem": "C0",
    "networks": "C0",
    "linalg": "C1",
    "validation/finite_difference": "C2",
}

figure, axes = plt.subplots(figsize=(7, 5.2))
for height, row in enumerate(reversed(ROWS)):
    width = 10 / len(row)
    for place, name in enumerate(row):
        colour = COLOURS.get(name, "0.6")
        axes.add_patch(
            plt.Rectangle((place * width + 0.08, height + 0.12), width - 0.16, 0.76, facecolor=colour, alpha=0.25)
        )
        axes.text((place + 0.5) * width, height + 0.5, name, ha="center", va="center", fontsize=9)
axes.annotate(
    "imports", (10.5, 0.3), (10.5, len(ROWS) - 0.5), arrowprops={"arrowstyle": "->"}, ha="center", rotation=90
)
axes.set(xlim=(0, 11), ylim=(0, len(ROWS)))
axes.axis("off")
