"""Records of the PEER form: header variants, units, damage; synthetic motions: determinism and spectrum."""

import math

import numpy as np
import pytest

from repnet_pde import InputError
from repnet_pde.operators import GroundMotion, read_at2, synthetic_motion, synthetic_motions, write_at2
from repnet_pde.operators.ground_motions import G, envelope, power_spectrum

NAMED = "NPTS=  {n}, DT=   .0050 SEC"
HEADERS = {
    "named": NAMED,
    "no spaces": "NPTS={n},DT=0.005SEC".replace("SEC", " SEC"),
    "long": "NPTS=   {n}, DT=   .0050 SEC,",
    "no comma": "NPTS= {n} DT= 0.5E-02 SEC",
    "leading": "  {n}    0.0050    NPTS, DT",
    "leading, no space": "{n} .005 NPTS,DT",
}
UNITS = "ACCELERATION TIME SERIES IN UNITS OF {}"
VALUES = np.array([0.0, 1.25e-3, -2.5e-2, 0.3, -0.15, 1e-5, 0.2])


def record(tmp_path, header=NAMED, units="G", values=None, n=None):
    """A file of seven values, five a line, after the four lines of a header."""
    texts = [f"{v:15.7E}" for v in VALUES] if values is None else values
    lines = ["PEER NGA STRONG MOTION DATABASE RECORD", "Kobe, 1/16/1995, Takatori, 0", UNITS.format(units)]
    lines.append(header.format(n=len(texts) if n is None else n))
    lines += ["".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    path = tmp_path / "record.AT2"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


@pytest.mark.parametrize("name", HEADERS)
def test_headers(tmp_path, name):
    motion = read_at2(record(tmp_path, HEADERS[name]))
    assert motion.dt == 0.005 and motion.units == "g"
    np.testing.assert_allclose(motion.acceleration, G * VALUES, rtol=1e-15)
    np.testing.assert_allclose(motion.in_g, VALUES, rtol=1e-15)
    assert motion.name == "Kobe, 1/16/1995, Takatori, 0"
    np.testing.assert_allclose(motion.time, 0.005 * np.arange(7))


@pytest.mark.parametrize(
    "units, factor",
    [("G", G), ("g.", G), ("CM/S2", 0.01), ("cm/s^2", 0.01), ("CM/SEC/SEC", 0.01), ("cm/sec**2", 0.01), ("M/S2", 1.0)],
)
def test_units(tmp_path, units, factor):
    np.testing.assert_allclose(read_at2(record(tmp_path, units=units)).acceleration, factor * VALUES, rtol=1e-15)


def test_numbers_that_touch_and_fortran_exponents(tmp_path):
    path = record(tmp_path, values=["-.1234567E-02-.1234567E-02", " .5D+00", " 1.", " -3"], n=5)
    np.testing.assert_allclose(read_at2(path).in_g, [-0.001234567, -0.001234567, 0.5, 1, -3])


def test_the_end_of_file_of_dos(tmp_path):
    path = record(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\x1a")
    np.testing.assert_allclose(read_at2(path).in_g, VALUES, rtol=1e-15)


def test_round_trip(tmp_path):
    motion = synthetic_motion(3, duration=10.0)
    write_at2(tmp_path / "a.AT2", motion)
    back = read_at2(tmp_path / "a.AT2")
    assert back.dt == motion.dt and back.name == motion.name
    np.testing.assert_allclose(back.acceleration, motion.acceleration, rtol=1e-8)
    write_at2(tmp_path / "b.AT2", GroundMotion(0.01, np.arange(12.0)))
    np.testing.assert_allclose(read_at2(tmp_path / "b.AT2").acceleration, np.arange(12.0), rtol=1e-8)


DAMAGE = {
    "cut short": ({"n": 9}, "line 4: the header says 9 values, but 7 follow up to line 6; the file is cut short"),
    "too many": ({"n": 6}, "the header says 6 values, but 7 follow up to line 6; there are too many"),
    "text": ({"values": [" 0.1", " 0.2", " 0.3", " 0.4", " 0.5", " x0.6"], "n": 6}, "line 6: 'x' is not a number"),
    "stars": ({"values": [" 0.1 ", "*******"], "n": 2}, "line 5: '*******' is not a number"),
    "NaN": ({"values": [" 0.1 ", "NaN"], "n": 2}, "line 5: 'NaN' is not a number"),
    "huge": ({"values": [" 0.1 ", "1E400"], "n": 2}, "beyond the range"),
    "no header": ({"header": "4000 points"}, "none of its first 10 lines gives the number of points"),
    "no count": ({"header": "NPTS= many, DT= .005 SEC"}, "line 4: 'NPTS= many, DT= .005 SEC' does not give"),
    "no step": ({"header": "NPTS= 7, DT= 0.0 SEC"}, "a time step > 0"),
    "units": ({"units": "INCH/S2"}, "line 3: units 'INCH/S2' are not known; allowed: g, cm/s2"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files(tmp_path, name):
    changes, message = DAMAGE[name]
    path = record(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        read_at2(path)
    assert message in str(caught.value) and str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"none\.AT2: cannot be read"):
        read_at2(tmp_path / "none.AT2")


def test_a_seed_gives_the_same_bits():
    one, other = synthetic_motion(5), synthetic_motion(5)
    np.testing.assert_array_equal(one.acceleration, other.acceleration)
    assert np.abs(one.acceleration - synthetic_motion(6).acceleration).max() > 0.1
    assert len(one.acceleration) == 4001 and np.abs(one.in_g).max() == pytest.approx(0.3)
    many = synthetic_motions(4, seed=2, duration=8.0)
    np.testing.assert_array_equal(many[:2], synthetic_motions(2, seed=2, duration=8.0))
    assert many.shape == (4, 401) and np.abs(np.corrcoef(many) - np.eye(4)).max() < 0.3


def test_spectrum_and_envelope():
    """The mean periodogram of many motions without envelope has the shape of the formula."""
    n, dt = 400, 0.02
    motions = [synthetic_motion(s, 20.0, dt, rise=1e-9, strong=1e9).acceleration for s in range(n)]
    window = np.hanning(len(motions[0]))
    power = np.mean([np.abs(np.fft.rfft(window * m / np.std(m))) ** 2 for m in motions], axis=0)
    omega = 2 * math.pi * np.fft.rfftfreq(len(window), dt)
    band = (omega > 3) & (omega < 100)
    ratio = power[band] / power_spectrum(omega[band])
    assert np.std(ratio) / np.mean(ratio) < 0.12
    assert power_spectrum(0.0) == 0 and power_spectrum(1e4) < 1e-3
    np.testing.assert_allclose(envelope([0, 2, 4, 10, 12, 22], 4, 12, 0.1), [0, 0.25, 1, 1, 1, math.exp(-1)])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seed": -1}, "seed: -1"),
        ({"dt": 0.0}, "dt: 0.0"),
        ({"duration": 0.1}, "at least 15 time steps"),
        ({"peak": math.nan}, "peak: nan"),
        ({"ground_damping": 0}, "ground_damping: 0"),
    ],
)
def test_bad_arguments(changes, message):
    with pytest.raises(InputError, match=message):
        synthetic_motion(**({"seed": 0} | changes))
