"""Solutions as NetCDF and VTK files: every bit comes back, and the files are what their formats ask for."""

import base64
import itertools
import math
import re
import shutil
from xml.etree import ElementTree

import deepxde as dde
import numpy as np
import pytest
import xarray
from scipy.io import netcdf_file

from repnet_pde import InputError, Problem, Sampling, load_solution, solve
from repnet_pde.output import grid as export
from repnet_pde.output import pictures as plots
from repnet_pde.output import vtk as vtk_xml
from repnet_pde.output.formats import convert
from repnet_pde.output.netcdf import write_netcdf

LINE, TIME = dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 2)


def grid(dims="x", outputs=("u",), sizes=(5, 4, 3, 6), hole=False):
    """Random values, and some that are hard to keep, on axes that are not uniform."""
    random = np.random.default_rng(len(dims))
    names = ["x1", "x2", "x3", "x4"] if dims == "4-D" else list(dims)
    sizes = dict(zip(names, sizes, strict=False))
    axes = {name: np.cumsum(random.uniform(0.1, 1, n)) / 3 for name, n in sizes.items()}
    data = xarray.Dataset(coords={n: (n, a, {"long_name": n, "units": "1"}) for n, a in axes.items()})
    for output in outputs:
        values = random.standard_normal(tuple(sizes.values()))
        values.flat[:4] = [-0.0, 5e-324, 1 + 2**-52, -1.7976931348623157e308]
        if hole:
            values[1:3, 1] = np.nan
        data[output] = (names, values, {"long_name": f"{output}, network", "units": "1"})
    data.attrs = {"Conventions": "CF-1.10", "title": "Größe", "relative_l2": 0.1}
    return data


def run_directory(path, data):
    path.mkdir(parents=True)
    (path / "run.json").write_text("{}")
    write_netcdf(data, path / "solution.nc")
    return path


def same_bits(one, other):
    """Names, dimensions in their order, and every bit of values and coordinates."""
    assert list(one) == list(other) and set(one.coords) == set(other.coords)
    for name, v in one.variables.items():
        assert v.dims == other[name].dims and other[name].dtype == np.float64
        assert v.values.tobytes() == other[name].values.astype("<f8").tobytes(), name


CASES = {
    "1-D": grid("x"),
    "2-D, two outputs": grid("xy", ("u", "v")),
    "3-D": grid("xyz"),
    "1-D in time": grid("xt"),
    "2-D in time, two outputs": grid("xyt", ("p", "a & <b>")),
    "time alone": grid("t", ("x", "y")),
    "2-D with a hole": grid("xy", ("u", "v"), hole=True),
    "2-D in time with a hole": grid("xyt", hole=True),
}


@pytest.fixture(params=CASES)
def data(request):
    return CASES[request.param]


# Round trips ---------------------------------------------------------------------------------------------------------


def test_netcdf_and_back(data, tmp_path):
    run = run_directory(tmp_path / "run", data)
    same_bits(data, load_solution(run))
    xarray.testing.assert_identical(load_solution(run), data)
    out = convert(run, out=tmp_path / "elsewhere" / "copy.nc")
    xarray.testing.assert_identical(load_solution(str(out)), data)


def test_vtk_and_back(data, tmp_path):
    run = run_directory(tmp_path / "run", data)
    out = convert(run, "vtk")
    in_time = "t" in data.dims and len(data.dims) > 1
    assert out == run / ("solution.pvd" if in_time else "solution.vtr")
    same_bits(data, load_solution(out))


def test_a_run_with_a_hole_and_its_commands(command, tmp_path, monkeypatch):
    """Heat in a rectangle with a hole, two outputs, from solving to the file."""
    monkeypatch.setattr(plots, "draw", lambda *_: [])
    monkeypatch.setattr(export, "MOST", 5000)
    space = dde.geometry.Rectangle([0, 0], [1, 1]) - dde.geometry.Disk([0.5, 0.4], 0.2)
    problem = Problem(
        geometry=dde.geometry.GeometryXTime(space, TIME),
        pde=lambda x, u: [dde.grad.jacobian(u, x, i=i, j=2) - dde.grad.hessian(u, x, i, 0, 0) for i in (0, 1)],
        outputs=("u", "v"),
        sampling=Sampling(domain=30, boundary=10, initial=10),
    )
    options = {"iterations": 1, "network_options": {"layers": [4]}, "progress": False}
    result = solve(problem, "fnn", "adam", out=tmp_path / "run", **options)
    code, out, err = command("export", tmp_path / "run")
    assert (code, err) == (0, "") and out == f"{tmp_path / 'run' / 'solution.pvd'}\n"
    found = load_solution(tmp_path / "run" / "solution.pvd")
    same_bits(found, load_solution(tmp_path / "run"))
    x, y = np.meshgrid(found.x, found.y, indexing="ij")
    inside = space.inside(np.stack([x.ravel(), y.ravel()], 1)).reshape(x.shape)
    assert 0.5 < inside.mean() < 0.99 and (np.isfinite(found.u.values) == inside[..., None]).all()
    i, j = np.argwhere(inside)[3]
    at = [[found.x.values[i], found.y.values[j], found.t.values[2]]]
    assert [found.u.values[i, j, 2], found.v.values[i, j, 2]] == pytest.approx(result.predict(at)[0], rel=1e-12)
    code, out, err = command("export", tmp_path / "run", "--format", "netcdf", "--out", tmp_path / "a.nc")
    assert (code, err) == (0, "") and load_solution(tmp_path / "a.nc").identical(load_solution(tmp_path / "run"))


# VTK's form ----------------------------------------------------------------------------------------------------------


def arrays(file, part):
    """Name -> values of a part of a .vtr, decoded by hand: the number of bytes, then the bytes."""
    piece = ElementTree.parse(file).getroot().find("RectilinearGrid/Piece")
    found = {}
    for element in piece.find(part):
        bare = base64.b64decode(element.text)
        assert int.from_bytes(bare[:8], "little") == len(bare) - 8
        kind = {"Float64": "<f8", "UInt8": "u1"}[element.attrib["type"]]
        found[element.attrib["Name"]] = np.frombuffer(bare[8:], kind)
    return piece.attrib["Extent"], found


def test_the_first_axis_runs_fastest(tmp_path):
    data = grid("xyz")
    vtk_xml.write(data, tmp_path / "a.vtr")
    extent, points = arrays(tmp_path / "a.vtr", "PointData")
    assert extent == "0 4 0 3 0 2"
    for i, j, k in itertools.product(range(5), range(4), range(3)):
        assert points["u"][i + 5 * (j + 4 * k)] == data.u.values[i, j, k]
    _, axes = arrays(tmp_path / "a.vtr", "Coordinates")
    assert list(axes) == ["x", "y", "z"] and all((axes[n] == data[n].values).all() for n in axes)


def test_missing_axes_have_one_point(tmp_path):
    vtk_xml.write(grid("x"), tmp_path / "a.vtr")
    extent, points = arrays(tmp_path / "a.vtr", "PointData")
    assert extent == "0 4 0 0 0 0" and len(points["u"]) == 5
    elements = ElementTree.parse(tmp_path / "a.vtr").getroot().find("RectilinearGrid/Piece/Coordinates")
    assert [element.attrib["Name"] for element in elements] == ["x", "", ""]


@pytest.mark.parametrize("dims", ["x", "xy", "xyz"])
def test_what_is_outside_is_blanked(dims, tmp_path):
    """Points by 2, and by 32 the cells with one of them as a corner; where one output is there, nothing."""
    data = grid(dims, ("u", "v"))
    for output, missing in (("u", (1, 2)), ("v", (2,))):
        for index in missing:
            data[output].values[(index,) * len(dims)] = np.nan
    vtk_xml.write(data, tmp_path / "a.vtr")
    _, points = arrays(tmp_path / "a.vtr", "PointData")
    _, cells = arrays(tmp_path / "a.vtr", "CellData")
    shape = data.u.shape
    hidden = np.argwhere(points["vtkGhostType"].reshape(shape[::-1]).T == 2)
    assert hidden.tolist() == [[2] * len(dims)] and set(points["vtkGhostType"]) == {0, 2}
    blanked = np.argwhere(cells["vtkGhostType"].reshape([n - 1 for n in shape[::-1]]).T == 32)
    corners = itertools.product(*[[c for c in (1, 2) if c < n - 1] for n in shape])  # cell c lies between c and c + 1
    assert sorted(map(tuple, blanked)) == sorted(corners)
    vtk_xml.write(grid(dims), tmp_path / "b.vtr")
    assert "vtkGhostType" not in (tmp_path / "b.vtr").read_text()


def test_index_of_a_series(tmp_path):
    """Times to the last bit, in the index and in each file; paths relative to the index."""
    data = grid("xyt", sizes=(4, 3, 11))
    vtk_xml.write(data, tmp_path / "a.pvd")
    entries = ElementTree.parse(tmp_path / "a.pvd").getroot().findall("Collection/DataSet")
    assert [float(entry.attrib["timestep"]) for entry in entries] == data.t.values.tolist()
    assert [entry.attrib["file"] for entry in entries] == [f"a/a_{i:02d}.vtr" for i in range(11)]
    for entry, time in zip(entries, data.t.values, strict=True):
        field = ElementTree.parse(tmp_path / entry.attrib["file"]).getroot().find("RectilinearGrid/FieldData/DataArray")
        assert field.attrib["Name"] == "TimeValue" and field.attrib["NumberOfTuples"] == "1"
        assert np.frombuffer(base64.b64decode(field.text)[8:], "<f8").tolist() == [time]
    shutil.move(tmp_path / "a.pvd", tmp_path / "moved.pvd")
    same_bits(data, load_solution(tmp_path / "moved.pvd"))


def test_the_index_comes_last(tmp_path, monkeypatch):
    """A series that is written halfway has no index, neither a new one nor an old one."""
    data = grid("xt")
    vtk_xml.write(data, tmp_path / "a.pvd")
    before = (tmp_path / "a.pvd").read_bytes()
    write, written = vtk_xml.write_atomically, []

    def failing(path, what):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, what)

    with monkeypatch.context() as patch:
        patch.setattr(vtk_xml, "write_atomically", failing)
        with pytest.raises(OSError, match="No space left"):
            vtk_xml.write(-data, tmp_path / "a.pvd")
    assert not (tmp_path / "a.pvd").exists()
    vtk_xml.write(data, tmp_path / "a.pvd")
    assert (tmp_path / "a.pvd").read_bytes() == before
    same_bits(data, load_solution(tmp_path / "a.pvd"))


def test_a_shorter_series_leaves_no_pieces_of_the_longer_one(tmp_path):
    for steps in (12, 3):
        data = grid("xt", sizes=(4, steps))
        vtk_xml.write(data, tmp_path / "a.pvd")
        same_bits(data, load_solution(tmp_path / "a.pvd"))
        assert len(list((tmp_path / "a").iterdir())) == steps


# CF conventions ------------------------------------------------------------------------------------------------------


def test_cf_conventions(data, tmp_path):
    """In the file itself: order of the dimensions, no fill values of coordinates, units, no axes of the Earth."""
    write_netcdf(data, tmp_path / "a.nc")
    with netcdf_file(tmp_path / "a.nc", mmap=False) as file:
        for name, variable in file.variables.items():
            assert variable.units == b"1" and variable.long_name
            assert not hasattr(variable, "axis") and not hasattr(variable, "coordinates")
            if name in data.coords:
                assert variable.dimensions == (name,) and not hasattr(variable, "_FillValue")
                assert (np.diff(variable[:]) > 0).all()
            else:
                assert variable.dimensions == tuple(reversed(data[name].dims))
                assert math.isnan(variable._FillValue)


def test_attributes_of_a_solution(tmp_path):
    """What CF asks of a file, and no number where there is no error."""
    field = dde.geometry.GeometryXTime(LINE, TIME)
    problem = Problem(
        geometry=field,
        pde=lambda x, u: dde.grad.jacobian(u, x, j=1) + dde.grad.jacobian(u, x, j=0),
        sampling=Sampling(domain=30, boundary=10, initial=10),
    )
    options = {"iterations": 2, "network_options": {"layers": [4]}, "progress": False, "seed": 3}
    result = solve(problem, "fnn", "adam", **options)
    data = export.grid(result)
    assert data.attrs["Conventions"] == "CF-1.10" and data.attrs["title"] == "problem solved by fnn with adam"
    assert data.attrs["history"] == "2 iterations of adam, seed 3, float64"
    assert re.fullmatch(r"repnet-pde \d.*", data.attrs["source"]) and "relative_l2" not in data.attrs
    assert all(re.fullmatch(r"[A-Za-z]\w*", str(name)) for name in data.variables)
    assert not any("axis" in v.attrs for v in data.variables.values())


# What cannot be read or written --------------------------------------------------------------------------------------


def refused(said, function, *arguments):
    with pytest.raises(InputError) as raised:
        function(*arguments)
    assert said in str(raised.value), str(raised.value)


def test_what_cannot_be_loaded(tmp_path):
    run = run_directory(tmp_path / "run", grid())
    (run / "solution.nc").unlink()
    (tmp_path / "some.txt").write_text("u")
    refused("nowhere' does not exist", load_solution, tmp_path / "nowhere")
    refused("nowhere.vtr' does not exist", load_solution, tmp_path / "nowhere.vtr")
    refused("is not a run directory, it has no run.json", load_solution, tmp_path)
    refused("has no solution.nc yet", load_solution, run)
    refused("a run directory or a file in .nc, .vtr, .pvd is needed", load_solution, tmp_path / "some.txt")


@pytest.mark.parametrize("part", [0, 0.3, 0.9, 0.999])
def test_files_that_were_cut_off(part, tmp_path):
    for name, data in (("a.nc", grid("xy")), ("a.vtr", grid("xy")), ("a.pvd", grid("xt"))):
        (write_netcdf if name == "a.nc" else vtk_xml.write)(data, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: int(part * len(whole))])
        refused(f"{tmp_path / name}: is ", load_solution, tmp_path / name)


def test_vtk_files_that_are_damaged(tmp_path):
    file = tmp_path / "a.vtr"
    vtk_xml.write(grid("xy"), file)
    text = file.read_text()

    def damaged(said, old, new):
        assert old in text
        file.write_text(text.replace(old, new))
        refused(f"{file}: is damaged or of another kind", load_solution, file)
        refused(said, load_solution, file)

    damaged("it has no RectilinearGrid", "RectilinearGrid", "ImageData")
    damaged("it has no Coordinates", "Coordinates", "Points")
    damaged("array 'u' is not one of", 'Name="u" format="binary"', 'Name="u" format="appended"')
    damaged("packed in another way", 'byte_order="LittleEndian"', 'compressor="vtkZLibDataCompressor"')
    damaged("packed in another way", "UInt64", "UInt32")
    base = re.search(r'Name="u" format="binary">([^<]*)', text).group(1)
    damaged("array 'u' is incomplete", base, base[:-12])
    damaged("", base, base[:40] + "!" + base[41:])
    shorter = re.search(r'Name="x" format="binary">([^<]*)', text).group(1)
    bare = base64.b64decode(shorter)
    less = base64.b64encode((len(bare) - 16).to_bytes(8, "little") + bare[8:-8]).decode()
    damaged("cannot reshape", shorter, less)


def test_a_series_with_other_pieces(tmp_path):
    vtk_xml.write(grid("xt"), tmp_path / "a.pvd")
    piece = tmp_path / "a" / "a_2.vtr"
    vtk_xml.write(grid("x", ("v",)), piece)
    refused(f"{piece}: has other variables or another grid than a_0.vtr", load_solution, tmp_path / "a.pvd")
    piece.unlink()
    refused(f"{piece}: does not exist", load_solution, tmp_path / "a.pvd")


def test_what_cannot_be_exported(tmp_path):
    run = run_directory(tmp_path / "run", grid("xt"))
    refused("format: 'xdmf' is not known; choose from netcdf, vtk", convert, run, "xdmf")
    refused("nowhere' does not exist", convert, tmp_path / "nowhere")
    refused("is not a run directory", convert, tmp_path)
    refused("out: none given", convert, run, "netcdf")
    refused("in the format vtk needs a name in .pvd", convert, run, "vtk", tmp_path / "a.vtr")
    refused("in the format vtk needs a name in .pvd", convert, run, None, tmp_path / "a")
    refused("in the format netcdf needs a name in .nc", convert, run, "netcdf", tmp_path / "a.pvd")
    high = run_directory(tmp_path / "high", grid("4-D"))
    refused("three dimensions in space, but the solution has 4", convert, high)
    same_bits(grid("4-D"), load_solution(convert(high, "netcdf", tmp_path / "high.nc")))


def test_messages_of_the_command(command, tmp_path):
    code, out, err = command("export", tmp_path / "nowhere")
    assert code == 2 and out == "" and err.startswith("repnet-pde: directory: ") and err.count("\n") == 1
    run = run_directory(tmp_path / "run", grid())
    code, out, err = command("export", run, "--format", "xdmf")
    assert code == 2 and "choose from netcdf, vtk" in err
