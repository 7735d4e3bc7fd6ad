"""Ground accelerations: records in PEER's ``.AT2`` format, and seeded synthetic motions."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .arguments import array, count, positive_number

G = 9.80665
"""Standard gravity in m/s²."""

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][-+]?\d+)?")
NAMED = re.compile(r"NPTS\s*=\s*([^,\s]+)\s*,?\s*DT\s*=\s*([^,\s]+)", re.IGNORECASE)
LEADING = re.compile(r"^\s*([^,\s]+)\s*,?\s+([^,\s]+)\s*,?\s*NPTS\s*,\s*DT", re.IGNORECASE)
UNITS = re.compile(r"UNITS\s+OF\s+(.+?)\s*$", re.IGNORECASE)
FACTORS = {"g": G, "cm/s2": 0.01, "cm/sec2": 0.01, "gal": 0.01, "gals": 0.01, "m/s2": 1.0, "m/sec2": 1.0, "mm/s2": 1e-3}
"""Units of acceleration as they are written in files -> m/s²."""
HEADER_LINES = 10
"""Number of lines at the start of a file that are searched for the number of points."""


@dataclass(frozen=True)
class GroundMotion:
    """A ground acceleration on an even grid of times.

    Attributes:
        dt: time step in s.
        acceleration: (n,) float64 in m/s².
        name: from the header.
        units: of the file.
    """

    dt: float
    acceleration: np.ndarray
    name: str = ""
    units: str = "m/s2"

    @property
    def in_g(self) -> np.ndarray:
        """The acceleration (n,) in units of standard gravity."""
        return self.acceleration / G

    @property
    def time(self) -> np.ndarray:
        """(n,) in s, from 0."""
        return self.dt * np.arange(len(self.acceleration))


def read_at2(path: str | Path) -> GroundMotion:
    """Read a record of the PEER ground motion database; the acceleration is always returned in **m/s²**.

    The header ends with the line of the number of points and the time step, in either of PEER's forms,
    ``NPTS=  4000, DT=   .0050 SEC`` or ``4000    0.0050    NPTS, DT``. Units are those after "UNITS OF" (g, cm/s2,
    m/s2, mm/s2, gal), g where the header has none.

    Raises:
        InputError: naming the file and the line, when there is no such header, the units are not known, a value is
            not a number, or the number of values differs from that in the header.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    start, points, dt = _header(path, lines)
    factor, units = _units(path, lines[:start])
    values: list[float] = []
    for number, line in enumerate(lines[start:], start + 1):
        rest = NUMBER.sub(" ", line).replace(",", " ").strip(" \t\x1a\0")  # old files end with the end-of-file of DOS
        if rest:
            raise InputError(f"{path}, line {number}: {rest.split()[0][:30]!r} is not a number")
        values += [float(v.upper().replace("D", "E")) for v in NUMBER.findall(line)]
    if len(values) != points:
        reason = "the file is cut short" if len(values) < points else "there are too many"
        raise InputError(
            f"{path}, line {start}: the header says {points} values, but {len(values)} follow up to line {len(lines)}; "
            f"{reason}"
        )
    acceleration = factor * np.array(values)
    if not np.isfinite(acceleration).all():
        raise InputError(f"{path}: a value is beyond the range of numbers")
    name = lines[1].strip() if start > 2 else ""
    return GroundMotion(dt, acceleration, name, units)


def write_at2(path: str | Path, motion: GroundMotion) -> None:
    """Write a record in PEER's format, in g, with eight digits."""
    lines = [
        "PEER NGA STRONG MOTION DATABASE RECORD" if motion.name else "GROUND MOTION",
        motion.name or "unnamed",
        "ACCELERATION TIME SERIES IN UNITS OF G",
        f"NPTS= {len(motion.acceleration):6d}, DT= {motion.dt:.8g} SEC",
    ]
    texts = [f"{v:16.8E}" for v in motion.in_g]
    lines += ["".join(texts[i : i + 5]) for i in range(0, len(texts), 5)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="ascii")


def _header(path, lines) -> tuple[int, int, float]:
    """The number of lines of the header, of points, and the time step."""
    for number, line in enumerate(lines[:HEADER_LINES], 1):
        match = NAMED.search(line) or LEADING.search(line)
        if match is None:
            continue
        try:
            points, dt = int(match[1].rstrip(".")), float(match[2])
        except ValueError:
            points, dt = 0, 0.0
        if points < 1 or not 0 < dt < math.inf:
            raise InputError(
                f"{path}, line {number}: {line.strip()!r} does not give a number of points >= 1 and a time step > 0"
            )
        return number, points, dt
    raise InputError(
        f"{path}: none of its first {HEADER_LINES} lines gives the number of points and the time step, as "
        "'NPTS=  4000, DT=   .0050 SEC' or '4000    0.0050    NPTS, DT'"
    )


def _units(path, header) -> tuple[float, str]:
    for number, line in enumerate(header, 1):
        match = UNITS.search(line)
        if match:
            text = match[1].strip(" .()").lower()
            key = re.sub(r"[\s^*]+", "", text).replace("/s/s", "/s2").replace("/sec/sec", "/sec2")
            if key not in FACTORS:
                raise InputError(
                    f"{path}, line {number}: units {match[1].strip()!r} are not known; allowed: {', '.join(FACTORS)}"
                )
            return FACTORS[key], key
    return G, "g"


def power_spectrum(omega, ground_frequency=15.6, ground_damping=0.6, low_cut=1.5, low_cut_damping=0.6) -> np.ndarray:
    """The Clough-Penzien spectrum of ground acceleration at angular frequencies omega (rad/s), for white noise of 1.

    The spectrum of K. Kanai (Bull. Earthq. Res. Inst. 35 (1957) 309-325) and H. Tajimi (Proc. 2nd World Conf. Earthq.
    Engng. (1960) 781-798) for a soil layer of angular frequency ω_g and damping ratio ζ_g, times the high-pass filter
    of R. W. Clough and J. Penzien (Dynamics of Structures, 1975) with ω_f, ζ_f, so that displacements are bounded:

        S = (ω_g⁴ + 4ζ_g²ω_g²ω²) / ((ω_g² − ω²)² + 4ζ_g²ω_g²ω²) · ω⁴ / ((ω_f² − ω²)² + 4ζ_f²ω_f²ω²).
    """
    square = np.square(np.asarray(omega, dtype=np.float64))
    soil = 4 * ground_damping**2 * ground_frequency**2 * square
    low = 4 * low_cut_damping**2 * low_cut**2 * square
    kanai = (ground_frequency**4 + soil) / ((ground_frequency**2 - square) ** 2 + soil)
    return kanai * square**2 / ((low_cut**2 - square) ** 2 + low)


def envelope(time, rise=4.0, strong=12.0, decay=0.12) -> np.ndarray:
    """Growth as t², a plateau, and exponential decay: P. C. Jennings, G. W. Housner, N. C. Tsai, Simulated earthquake
    motions (Caltech, 1968). rise, strong: ends of growth and plateau in s; decay: rate in 1/s."""
    time = np.asarray(time, dtype=np.float64)
    growing = np.square(np.minimum(time / rise, 1.0))
    return growing * np.exp(-decay * np.maximum(time - strong, 0.0))


def synthetic_motion(
    seed: int,
    duration: float = 80.0,
    dt: float = 0.02,
    *,
    peak: float = 0.3,
    ground_frequency: float = 15.6,
    ground_damping: float = 0.6,
    low_cut: float = 1.5,
    low_cut_damping: float = 0.6,
    rise: float = 4.0,
    strong: float = 12.0,
    decay: float = 0.12,
) -> GroundMotion:
    """Filtered white noise under an envelope; bitwise reproducible for the same seed and arguments.

    Args:
        seed: a whole number >= 0. duration, dt: in s; there are duration/dt + 1 samples.
        peak: the largest absolute acceleration, in g.
        ground_frequency, low_cut: ω_g and ω_f in rad/s, with damping ratios; see `power_spectrum`.
        rise, strong, decay: see `envelope`.
    """
    count("seed", seed, 0)
    duration, dt = positive_number("duration", duration, "seconds"), positive_number("dt", dt, "seconds")
    n = round(duration / dt) + 1
    if n < 16:
        raise InputError(f"duration: {duration:g} s given; at least 15 time steps of {dt:g} s are needed")
    for name, value in (
        ("peak", peak),
        ("ground_frequency", ground_frequency),
        ("ground_damping", ground_damping),
        ("low_cut", low_cut),
        ("low_cut_damping", low_cut_damping),
        ("rise", rise),
        ("strong", strong),
        ("decay", decay),
    ):
        positive_number(name, value)
    long = 2 ** math.ceil(math.log2(2 * n))  # circular filter, padded against wrap-around
    noise = np.fft.rfft(np.random.default_rng(seed).standard_normal(long))
    omega = 2 * math.pi * np.fft.rfftfreq(long, dt)
    shape = power_spectrum(omega, ground_frequency, ground_damping, low_cut, low_cut_damping)
    time = dt * np.arange(n)
    motion = envelope(time, rise, strong, decay) * np.fft.irfft(noise * np.sqrt(shape), long)[:n]
    motion *= peak * G / np.abs(motion).max()
    return GroundMotion(dt, array("motion", motion, (n,)), f"synthetic motion, seed {seed}")


def synthetic_motions(n: int, seed: int = 0, duration: float = 80.0, dt: float = 0.02) -> np.ndarray:
    """Accelerations (n, samples) in m/s² of n different motions; the first k of them are those of n = k.

    Drawn for each: ω_g uniform in 10 to 25 rad/s, ζ_g in 0.4 to 0.8, the peak log-normal around 0.3 g (standard
    deviation 0.4 of its logarithm), the end of the growth in 2 to 6 s and of the plateau 6 to 20 s later, decay
    0.08 to 0.25 /s.
    """
    count("n", n, 1)
    count("seed", seed, 0)
    motions = []
    for i in range(n):
        draw = np.random.default_rng([seed, i])
        rise = draw.uniform(2, 6)
        motion = synthetic_motion(
            int(draw.integers(2**31)),
            duration,
            dt,
            peak=0.3 * math.exp(0.4 * draw.standard_normal()),
            ground_frequency=draw.uniform(10, 25),
            ground_damping=draw.uniform(0.4, 0.8),
            rise=rise,
            strong=rise + draw.uniform(6, 20),
            decay=draw.uniform(0.08, 0.25),
        )
        motions.append(motion.acceleration)
    return np.stack(motions)
