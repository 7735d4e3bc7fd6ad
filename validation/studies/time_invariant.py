"""Least-squares baselines for maps that do not depend on absolute time: NumPy only.

a: accelerations (records, samples); u: displacements (records, samples, outputs); zero before the record.
"""

import math

import numpy as np


def fir_weights(a: np.ndarray, u: np.ndarray, lags: int) -> np.ndarray:
    """h (lags, outputs) with the least ‖Σ_l h_l a(n − l) − u(n)‖ over all records; a is zero before its record.

    The normal equations, of which all but the first row follow along the diagonals from the end of the records.
    """
    records, samples = a.shape
    n = 2 ** math.ceil(math.log2(2 * samples))
    spectrum = np.fft.rfft(a, n)
    first = np.fft.irfft((np.abs(spectrum) ** 2).sum(0), n)[:lags]
    ends = a[:, ::-1][:, :lags]
    gone = ends.T @ ends
    matrix = np.empty((lags, lags))
    matrix[0] = matrix[:, 0] = first
    for i in range(1, lags):
        matrix[i, 1:] = matrix[i - 1, :-1] - gone[i - 1, :-1]
    cross = np.einsum("nf,nfc->fc", spectrum.conj(), np.fft.rfft(u, n, axis=1))
    right = np.fft.irfft(cross, n, axis=0)[:lags]
    values, vectors = np.linalg.eigh(matrix)
    kept = values > 1e-14 * values[-1]
    return vectors[:, kept] @ ((vectors[:, kept].T @ right) / values[kept, None])


def apply_fir(weights: np.ndarray, a: np.ndarray) -> np.ndarray:
    """(records, samples, outputs) from weights (lags, outputs) and a (records, samples)."""
    n = 2 ** math.ceil(math.log2(a.shape[1] + len(weights)))
    spectrum = np.fft.rfft(a, n)[:, :, None] * np.fft.rfft(weights, n, axis=0)
    return np.fft.irfft(spectrum, n, axis=1)[:, : a.shape[1]]


def state_space_weights(a: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(2c + 3, c): u(n + 1) from u(n), u(n − 1), a(n + 1), a(n), a(n − 1), by least squares over all records.

    Exact for the sampled displacements of a linear frame: two of them determine the state.
    """
    rows = np.concatenate([u[:, 1:-1], u[:, :-2], a[:, 2:, None], a[:, 1:-1, None], a[:, :-2, None]], 2)
    scale = np.sqrt(np.mean(np.square(rows), axis=(0, 1)))
    flat = (rows / scale).reshape(-1, rows.shape[2])
    return np.linalg.lstsq(flat, u[:, 2:].reshape(len(flat), -1), rcond=None)[0] / scale[:, None]


def simulate(weights: np.ndarray, a: np.ndarray) -> np.ndarray:
    """The free run of `state_space_weights` from rest: (records, samples, outputs)."""
    c = weights.shape[1]
    u = np.zeros((*a.shape, c))
    zero = np.zeros((len(a), 1))
    with np.errstate(all="ignore"):
        for k in range(1, a.shape[1]):
            before, older = (u[:, k - 2], a[:, k - 2, None]) if k > 1 else (np.zeros((len(a), c)), zero)
            u[:, k] = np.concatenate([u[:, k - 1], before, a[:, k, None], a[:, k - 1, None], older], 1) @ weights
    return u
