"""Measurements from files become conditions of a problem, whatever the format and the order of the columns."""

import importlib.util
import time

import deepxde as dde
import numpy as np
import pytest
import torch
import xarray
from exact import as_network

from repnet_pde import InputError, Problem, Sampling, set_precision
from repnet_pde.inverse.observations import Observations, read_observations, with_observations
from repnet_pde.problem.points import collocation
from repnet_pde.problem.residuals import residual_vectors

PI = np.pi
K = 0.3


def solution(x):
    """Temperature and flux of u_t + q_x = 0, q = -K u_x."""
    decay = np.exp(-K * PI**2 * x[:, 1:2])
    return np.concatenate([decay * np.sin(PI * x[:, 0:1]), -K * PI * decay * np.cos(PI * x[:, 0:1])], axis=1)


def heat(start=K, **changes):
    k = dde.Variable(start)

    def pde(x, u):
        jacobian = dde.grad.jacobian
        return [jacobian(u, x, i=0, j=1) + jacobian(u, x, i=1, j=0), u[:, 1:2] + k * jacobian(u, x, i=0, j=0)]

    rod, span = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2)
    geometry = dde.geometry.GeometryXTime(rod, span)
    old = dde.icbc.PointSetBC(np.array([[0.5, 0.0]]), np.array([[9.0]]))
    start = dde.icbc.IC(geometry, lambda x: np.sin(PI * x[:, 0:1]), lambda x, on_initial: on_initial)
    fields = {
        "geometry": geometry,
        "pde": pde,
        "conditions": {"old": old, "start": start},
        "unknowns": {"k": k},
        "outputs": ("u", "q"),
        "sampling": Sampling(domain=30, boundary=10, initial=10),
    }
    return Problem(**(fields | changes))


@pytest.fixture(scope="module")
def problem():
    set_precision("float64")
    return heat()


def line(**changes):
    """A data fit in one dimension with the unknown value a."""
    a = dde.Variable(1.0)
    fields = {"geometry": dde.geometry.Interval(0, 1), "pde": lambda x, u: a * u, "unknowns": {"a": a}}
    return Problem(**(fields | {"sampling": Sampling(domain=10)} | changes))


def columns(count=7):
    """Measurements at points that are no grid, columns in no order; u is missing once, q twice."""
    x = np.random.default_rng(1).random((count, 2)) * [1, 2]
    u, q = solution(x).T
    u[2] = q[0] = q[4] = np.nan
    return {"q": q, "t": x[:, 1], "u_std": np.linspace(0.1, 0.2, count), "x": x[:, 0], "u": u}


def as_text(delimiter, empty="nan"):
    def write(path, columns):
        rows = [[empty if np.isnan(v) else repr(float(v)) for v in row] for row in zip(*columns.values(), strict=True)]
        path.write_text("# made for a test\n" + "\n".join(delimiter.join(row) for row in [list(columns), *rows]) + "\n")

    return write


def as_netcdf(path, columns):
    variables = {name: ("point", column) for name, column in columns.items()}
    xarray.Dataset({**variables, "run": 3}, attrs={"by": "me"}).to_netcdf(path, engine="scipy")


FORMATS = {
    "comma": ("data.csv", as_text(",")),
    "comma and empty cells": ("data.CSV", as_text(",", "")),
    "comma and space": ("data.csv", as_text(", ", "")),
    "semicolon": ("data.csv", as_text(";", " ")),
    "tab": ("data.tsv", as_text("\t", "")),
    "white space": ("data.txt", as_text("   ", "NaN")),
    "npz": ("data.npz", lambda path, columns: np.savez(path.open("wb"), **columns)),
    "NetCDF": ("data.nc", as_netcdf),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_gives_the_same_conditions(kind, problem, tmp_path):
    name, write = FORMATS[kind]
    given = columns()
    write(tmp_path / name, given)
    data = read_observations(tmp_path / name, problem)
    assert data.path == tmp_path / name
    assert np.array_equal(data.x, np.stack([given["x"], given["t"]], axis=1)) and data.x.dtype == np.float64
    assert list(data.values) == ["u", "q"] and data.uncertainties["q"] is None
    for output, values in data.values.items():
        assert np.array_equal(values, given[output], equal_nan=True) and values.dtype == np.float64
    assert np.array_equal(np.isnan(data.uncertainties["u"]), np.isnan(given["u"]))
    assert np.nanmax(abs(data.uncertainties["u"] - given["u_std"])) == 0

    observed = with_observations(problem, data)
    assert list(observed.conditions) == ["start", "data u", "data q"]
    for i, output in enumerate(problem.outputs):
        condition, there = observed.conditions[f"data {output}"], ~np.isnan(given[output])
        assert condition.component == i
        assert np.array_equal(condition.points, data.x[there])
        assert np.array_equal(condition.values.numpy(), given[output][there, None])


def write_exact(path, count=20):
    x = np.random.default_rng(0).random((count, 2)) * [1, 2]
    u, q = solution(x).T
    np.savez(path, u=u, q=q, x=x[:, 0], t=x[:, 1])
    return path


def test_exact_data_leave_no_residual(problem, tmp_path):
    observed = with_observations(problem, read_observations(write_exact(tmp_path / "data.npz"), problem))
    vectors = residual_vectors(collocation(observed), as_network(solution))
    vectors = dict(zip(observed.term_names, vectors, strict=True))
    dde.grad.clear()
    assert len(vectors) == 5 and len(vectors["data u"]) == len(vectors["data q"]) == 20
    assert max(v.abs().max().item() for v in vectors.values()) < 1e-14

    off = residual_vectors(collocation(observed), as_network(lambda x: solution(x) + np.array([[0.25, -0.5]])))
    dde.grad.clear()
    assert torch.allclose(off[-2], torch.tensor(0.25, dtype=off[-2].dtype))
    assert torch.allclose(off[-1], torch.tensor(-0.5, dtype=off[-1].dtype))


def test_variables_and_start_values_are_the_same(tmp_path):
    problem = heat(start=1.0)
    data = read_observations(write_exact(tmp_path / "data.npz"), problem)
    with torch.no_grad():
        problem.unknowns["k"].fill_(2.0)  # as training does
    observed = with_observations(problem, data)
    assert observed.unknowns["k"] is problem.unknowns["k"] and observed.start_values == {"k": 1.0}
    assert observed.conditions["start"] is problem.conditions["start"] and "old" in problem.conditions
    assert observed.residual_names == problem.residual_names and observed.outputs == problem.outputs


def test_keep(problem, tmp_path):
    data = read_observations(write_exact(tmp_path / "data.npz"), problem)
    once = with_observations(problem, data, keep=True)
    assert list(once.conditions) == ["old", "start", "data u", "data q"]
    assert list(with_observations(once, data, keep=True).conditions)[4:] == ["data u 2", "data q 2"]
    assert list(with_observations(once, data).conditions) == ["start", "data u", "data q"]


def test_conditions_follow_the_problem_s_precision(tmp_path):
    set_precision("float32")
    problem = line()
    np.savez(tmp_path / "data.npz", x=[0.1, 0.2], u=[1.0, 2.0])
    set_precision("float64")
    data = read_observations(tmp_path / "data.npz", problem)
    observed = with_observations(problem, data)
    condition = observed.conditions["data u"]
    assert data.x.dtype == np.float64 and observed.dtype == "float32"
    assert condition.points.dtype == np.float32 and condition.values.dtype == torch.float32


def test_an_unknown_field_is_observed_like_any_output(tmp_path):
    def pde(x, u):
        return dde.grad.hessian(u, x, component=0) - u[:, 1:2]

    problem = Problem(
        geometry=dde.geometry.Interval(0, 1), pde=pde, outputs=("u", "source"), unknown_fields=("source",)
    )
    (tmp_path / "data.csv").write_text("source,x,u\n,0.25,1\n3,0.75,\n4,0.5,nan\n,1,\n")
    data = read_observations(tmp_path / "data.csv", problem)
    assert np.array_equal(data.x, [[0.25], [0.75], [0.5]])  # the last point has nothing
    condition = with_observations(problem, data).conditions["data source"]
    assert condition.component == 1 and condition.values.tolist() == [[3.0], [4.0]]
    assert condition.points.tolist() == [[0.75], [0.5]]


# What is read, and what is moved -------------------------------------------------------------------------------------


def test_netcdf_on_a_grid(problem, tmp_path):
    x, t = np.linspace(0, 1, 4), np.linspace(0, 2, 3)
    grid = np.stack([g.ravel() for g in np.meshgrid(x, t, indexing="ij")], axis=1)
    u, q = solution(grid).T.reshape(2, 4, 3)
    u[1, 2] = np.nan
    axes = {"x": x, "t": ("t", t, {"units": "seconds since 2000-01-01"})}
    variables = {"u": (("t", "x"), u.T), "q": (("x", "t"), np.where(np.isnan(u), np.nan, q))}
    data = xarray.Dataset(variables, coords={**axes, "run": 3})
    data.to_netcdf(tmp_path / "data.nc", engine="scipy", encoding={"u": {"_FillValue": -99.0}})
    found = read_observations(tmp_path / "data.nc", problem)
    assert found.x.shape == (11, 2) and not any(np.isnan(v).any() for v in found.values.values())
    assert np.allclose(np.stack([*found.values.values()], axis=1), solution(found.x), rtol=0, atol=1e-15)


def test_labels_of_points_in_netcdf_are_ignored(tmp_path):
    variables = {"x": ("index", [0.1, 0.2]), "u": ("index", [1, 2])}
    xarray.Dataset(variables, coords={"index": [3, 4]}).to_netcdf(tmp_path / "data.nc", engine="scipy")
    assert read_observations(tmp_path / "data.nc", line()).values["u"].tolist() == [1, 2]


def test_repeated_comments_quotes_and_line_ends(tmp_path):
    text = '\ufeff# by me\r\n\r\n"x","u"  # names\r\n0.5,1\r\n0.5,2 # again\r\n# 0.5,3\r\n\r\n"1e-1",-4'
    (tmp_path / "data.csv").write_text(text, encoding="utf-8", newline="")
    data = read_observations(tmp_path / "data.csv", line())
    assert data.x.tolist() == [[0.5], [0.5], [0.1]] and data.values["u"].tolist() == [1, 2, -4]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_points_on_the_boundary_by_rounding(dtype, tmp_path):
    set_precision(dtype)
    problem = line(geometry=dde.geometry.Interval(0, 0.7))
    np.savez(tmp_path / "data.npz", x=[0.7, -1e-11, 0.7 + 1e-11, np.float64(np.float32(0.7))], u=np.ones(4))
    assert with_observations(problem, read_observations(tmp_path / "data.npz", problem))

    angle = np.linspace(0, 2 * PI, 1001)
    disk = line(geometry=dde.geometry.Disk([0.5, 0], 1.7))
    x, y = (0.5 + 1.7 * np.cos(angle)).astype(dtype), (1.7 * np.sin(angle)).astype(dtype)
    np.savez(tmp_path / "data.npz", x=x, y=y, u=angle)
    assert len(read_observations(tmp_path / "data.npz", disk).x) == 1001
    x[300] *= 1.001
    np.savez(tmp_path / "data.npz", x=x, y=y, u=angle)
    with pytest.raises(InputError, match=r"index 300: the point x = -0.0\d+, y = 1.6\d+ is outside .*1 of 1001"):
        read_observations(tmp_path / "data.npz", disk)


def test_coordinates_stored_in_float32(tmp_path):
    problem = line(geometry=dde.geometry.Interval(0, PI))
    stored = np.float32([0, PI])  # the second is above π
    np.savez(tmp_path / "data.npz", x=stored, u=stored)
    assert read_observations(tmp_path / "data.npz", problem).x[1] == PI
    np.savez(tmp_path / "data.npz", x=stored.astype(float), u=stored)
    with pytest.raises(InputError, match="outside"):
        read_observations(tmp_path / "data.npz", problem)


@pytest.mark.parametrize("gaps", [False, True])
def test_a_large_file_is_read_quickly(gaps, tmp_path):
    count = 100_000
    x = np.random.default_rng(0).random(count)
    rows = [f"{v!r},{2 * v!r}" for v in x.tolist()]
    rows += ["0.5,"] * gaps
    (tmp_path / "data.csv").write_text("x,u\n" + "\n".join(rows) + "\n")
    problem, start = line(), time.process_time()
    data = read_observations(tmp_path / "data.csv", problem)
    assert time.process_time() - start < 3
    assert np.array_equal(data.x[:, 0], x) and np.array_equal(data.values["u"], 2 * x)


# What cannot be used -------------------------------------------------------------------------------------------------

TEXT = {
    "empty": ("", "is empty"),
    "comments only": ("# x,t,u\n\n", "is empty"),
    "no header": ("0.1,0.2,3\n0.2,0.3,4\n", "no header line"),
    "no header but a comment": ("# x t u\n0.1 0.2 3\n", "no header line"),
    "header only": ("x,t,u\n", "0 measurement(s) found; at least 2 needed for 1 unknown(s)"),
    "nothing measured": ("x,t,u\n0.1,0.1,\n0.1,0.2,nan\n", "0 measurement(s) found; at least 2"),
    "too few": ("x,t,u\n0.1,0.1,3\n0.1,0.2,\n", "too few points: 1 measurement(s) found; at least 2"),
    "no coordinate": ("x,u\n0.1,3\n", "has no column 't'; found: 'x', 'u'; needed: x, t"),
    "no output": ("t,x\n0.1,3\n", "no column of an output; found: 't', 'x'; outputs: u, q"),
    "another case": ("X,t,u\n", "column 'X' is not known (did you mean 'x'?); found: 'X', 't', 'u'; known: x, t, u, q"),
    "typing error": ("x,t,u,u_sdt\n", "column 'u_sdt' is not known (did you mean 'u_std'?); found"),
    "another column": ("x,t,u,temperature\n", "column 'temperature' is not known; found"),
    "row names": (",x,t,u\n1,0.1,0.1,3\n", "column '' is not known; found: '', 'x', 't', 'u'"),
    "many columns": (",".join(f"c{i}" for i in range(999)), "column 'c0' is not known"),
    "a column twice": ("x,t,u,u\n0.1,0.1,3,3\n", "column 'u' is there twice"),
    "two deviations": ("x,t,u,u_std,u_error\n", "both u_std and u_error"),
    "a deviation of nothing": ("x,t,u,q_std\n", "standard deviations of 'q', but no column 'q'"),
    "text": ("# by me\nx,t,u\n0.1,0.1,3\n\n0.2,0.1,high\n", "line 5: 'high' in column 'u' is not a number"),
    "decimal comma": ("x;t;u\n0,1;0,1;3\n", "line 2: '0,1' in column 'x' is not a number such as 0.5"),
    "long text": ("x,t,u\n0.1,0.1," + 9999 * "a", "line 2: 'aaa"),
    "short line": ("x,t,u\n0.1,0.1,3\n0.1,0.1\n", "line 3: has 2 cell(s), the header 3: x, t, u"),
    "short lines": ("x,t,u\n0.1\n0.1\n", "line 2: has 1 cell(s)"),
    "long line": ("x t u\n0.1 0.1 3 4\n", "line 2: has 4 cell(s)"),
    "infinite value": ("x,t,u\n0.1,0.1,3\n0.1,0.1,-inf\n", "line 3: 'u' is infinite; a finite number is needed"),
    "overflow": ("x,t,u\n0.1,0.1,1e999\n", "line 2: 'u' is infinite"),
    "infinite coordinate": ("x,t,u\ninf,0.1,3\n", "line 2: 'x' is infinite"),
    "no place": ("x,t,u\n,,\n0.1,0.1,2\n0.1,,2\n", "line 4: the coordinate 't' is empty or NaN; a number is needed"),
    "deviation zero": ("x,t,u,u_std\n0.1,0.1,2,0\n", "line 2: 'u_std' is no positive number, though 'u' is measured"),
    "deviation missing": ("x,t,u,u_error\n0.1,0.1,,\n0.1,0.1,2,\n", "line 3: 'u_error' is no positive number"),
    "deviation infinite": ("x,t,u,u_error\n0.1,0.1,2,inf\n", "line 2: 'u_error' is no positive number"),
    "outside": (
        "x,t,u\n0.1,0.1,2\n0.1,2.5,2\n-3,1,2\n",
        "line 3: the point x = 0.1, t = 2.5 is outside the domain, which lies in x from 0 to 1, t from 0 to 2 "
        "(so for 2 of 3 points)",
    ),
    "just outside": ("x,t,u\n0.1,0.1,2\n1.00000001,1,2\n", "line 3: the point x = 1.00000001, t = 1 is outside"),
}


def refused(path, problem, said):
    with pytest.raises(InputError) as raised:
        read_observations(path, problem)
    message = str(raised.value)
    assert path.name in message and said in message, message
    assert "\n" not in message and len(message) < 700


@pytest.mark.parametrize("case", TEXT)
def test_bad_text(case, problem, tmp_path):
    text, said = TEXT[case]
    (tmp_path / "data.csv").write_text(text)
    refused(tmp_path / "data.csv", problem, said)


@pytest.mark.parametrize("ending", ["csv", "txt", "npz", "nc"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0garbage\x80", b"PK\3\4", b"CDF\1", b"\x93NUMPY\1\0"])
def test_bad_bytes(ending, content, problem, tmp_path):
    path = tmp_path / f"data.{ending}"
    path.write_bytes(content)
    refused(path, problem, "is not a whole .npz file" if ending == "npz" else "")


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


NPZ = {
    "lengths": ({"u": np.ones(3)}, "different lengths: x 2, t 2, u 3"),
    "two dimensions": ({"u": np.ones((2, 1))}, "column 'u' is float64 (2, 1); 1-D"),
    "a number": ({"u": 1.0}, "column 'u' is float64 (); 1-D"),
    "text": ({"u": ["a", "b"]}, "column 'u' is <U1 (2,); 1-D real numbers"),
    "complex": ({"u": [1j, 2]}, "column 'u' is complex128"),
    "times": ({"u": np.array(["2000-01-01"] * 2, "M8[s]")}, "column 'u' is datetime64[s]"),
    "unknown": ({"U": np.ones(2)}, "did you mean 'u'?"),
    "infinite": ({"u": [1, np.inf]}, "index 1: 'u' is infinite"),
    "no points": ({"x": [], "t": [], "u": []}, "0 measurement(s)"),
}


@pytest.mark.parametrize("case", NPZ)
def test_bad_npz(case, problem, tmp_path):
    changes, said = NPZ[case]
    np.savez(tmp_path / "data.npz", **({"x": [0.1, 0.2], "t": [0.1, 0.2]} | changes))
    refused(tmp_path / "data.npz", problem, said)


def test_npz_is_never_unpickled(problem, tmp_path):
    code = np.array([Code(tmp_path / "executed")] * 2, dtype=object)
    np.savez(tmp_path / "data.npz", x=[0.1, 0.2], t=[0.1, 0.2], u=code)
    refused(tmp_path / "data.npz", problem, "cannot be read as .npz: ValueError: Object arrays")
    assert not (tmp_path / "executed").exists()


NETCDF = {
    "apart": ({"x": ("i", [0.1]), "t": ("i", [0.1]), "u": ("j", [1.0])}, "'u' has the dimensions (j), but its"),
    "another dimension": (
        {"x": ("x", [0.1]), "t": ("t", [0.1]), "u": (("x", "t", "run"), np.ones((1, 1, 2)))},
        "'u' has the dimensions (x, t, run), but its coordinates have (x, t)",
    ),
    "no coordinate": ({"X": ("X", [0.1]), "t": ("t", [0.1]), "u": (("X", "t"), [[1.0]])}, "did you mean 'x'?"),
    "a fixed coordinate": ({"x": ("x", [0.1]), "t": 0.1, "u": ("x", [1.0])}, "has no column 't'"),
    "another variable": ({"x": ("i", [0.1]), "t": ("i", [0.1]), "u": ("i", [1.0]), "p": ("i", [1.0])}, "column 'p'"),
    "text": ({"x": ("i", [0.1]), "t": ("i", [0.1]), "u": ("i", ["a"])}, "column 'u' is"),
}


@pytest.mark.parametrize("case", NETCDF)
def test_bad_netcdf(case, problem, tmp_path):
    variables, said = NETCDF[case]
    xarray.Dataset(variables).to_netcdf(tmp_path / "data.nc", engine="scipy")
    refused(tmp_path / "data.nc", problem, said)


def test_netcdf_4_without_its_package(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "data.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    refused(tmp_path / "data.nc", problem, "netCDF4 or h5netcdf is needed: pip install netCDF4")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.csv", "there is no file"),
        ("folder.csv", "is not a file"),
        ("data.xlsx", "choose from .csv, .txt, .tsv, .npz, .nc"),
        ("data", "'' is not known; choose from .csv"),
        (None, "None given; the path of a file is needed"),
        (3, "3 given; the path of a file is needed"),
        ("a" * 999 + ".csv", "the path of a file is needed"),
        ("~nobody_of_that_name/data.csv", "path: "),
    ],
)
def test_bad_path(path, said, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    for name in ("data.xlsx", "data"):
        (tmp_path / name).write_text("x,t,u\n")
    with pytest.raises(InputError, match="^path: ") as raised:
        read_observations(path, problem)
    assert said in str(raised.value), raised.value


def test_bad_arguments(problem, tmp_path):
    data = read_observations(write_exact(tmp_path / "data.npz"), problem)
    with pytest.raises(InputError, match="^problem: str given"):
        read_observations(tmp_path / "data.npz", "heat")
    with pytest.raises(InputError, match="^problem: str given"):
        with_observations("heat", data)
    with pytest.raises(InputError, match="^observations: dict given; what read_observations returns"):
        with_observations(problem, data.values)
    with pytest.raises(InputError, match="^observations: 'q' is not known; choose from u"):
        with_observations(line(), Observations(data.x[:, :1], data.values, data.uncertainties, data.path))
    with pytest.raises(InputError, match="2 coordinate"):
        with_observations(line(), Observations(data.x, {"u": data.values["u"]}, {"u": None}, data.path))
    with pytest.raises(InputError, match="^outputs: 't' is also the name of a coordinate"):
        heat(outputs=("t", "q"))
