#!/usr/bin/env bash
# DeepXDE 1.15.0: a condition whose values are given by a NumPy ufunc has no function at all.
#
# Best guess before running: DirichletBC(geometry, np.cosh, ...) does what DirichletBC(geometry, lambda x: np.cosh(x), ...)
# does. Behaviour: DeepXDE counts the parameters of the function, those with defaults too, of which a ufunc has eight; it
# has a wrapper for one and for two parameters, and for any other number the constructor succeeds and leaves None in the
# function's place. Training then ends in "'NoneType' object is not callable", far from the mistake. It matters here since
# users give boundary values so: the product refuses such a condition with what to write instead.
#
# Output seen: deepxde 1.15.0 numpy 2.4.6
#              lambda: True ufunc: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check deepxde==1.15.0 torch==2.13.0 numpy==2.4.6
cat > "$work/try.py" <<'PY'
import deepxde as dde
import numpy as np

line = dde.geometry.Interval(0, 1)
wrapped = dde.icbc.DirichletBC(line, lambda x: np.cosh(x), lambda x, on_boundary: on_boundary)
bare = dde.icbc.DirichletBC(line, np.cosh, lambda x, on_boundary: on_boundary)
print("deepxde", dde.__version__, "numpy", np.__version__)
print("lambda:", wrapped.func is not None, "ufunc:", bare.func is not None)
assert wrapped.func is not None and bare.func is None, "the behaviour has changed"
PY
DDE_BACKEND=pytorch "$work/venv/bin/python" "$work/try.py" 2>/dev/null
