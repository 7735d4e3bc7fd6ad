"""Definition of problems: equations, conditions, points, references."""
