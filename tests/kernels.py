"""Which kernels the linear algebra of this process uses, as its libraries say it and as its digits show it.

OpenBLAS, MKL and PyTorch choose kernels by the processor; these differ in the order of their operations, and so in the
last digits. ``python tests/kernels.py`` prints one line of JSON: the names, and a hash of results for each library.
"""

import hashlib
import json
import os

import numpy as np
import scipy.linalg
import torch


def names() -> list[str]:
    """A line for each library that is loaded."""
    lines = []
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        lines.append("BLAS: unknown, threadpoolctl is not installed")
    else:
        for library in sorted(threadpool_info(), key=lambda found: found["filepath"]):
            if library["user_api"] == "blas":
                owner = os.path.basename(os.path.dirname(library["filepath"])).removesuffix(".libs")
                kernel = library.get("architecture", "unknown")
                version = f"{library['internal_api']} {library['version']}"
                lines.append(f"{owner}: {version}, {kernel}, threads {library['num_threads']}")
    build = "MKL" if torch.backends.mkl.is_available() else "another BLAS"
    capability = torch.backends.cpu.get_cpu_capability()
    lines.append(f"torch: {build}, {capability}, threads {torch.get_num_threads()}")
    return lines


def digits() -> dict[str, str]:
    """A hash of what each library makes of the same numbers: equal hashes mean kernels without a difference."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((300, 300)), rng.standard_normal((300, 37))
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    found = {
        "numpy": [a @ b, a @ b[:, 0], np.linalg.solve(a, b), *np.linalg.qr(a), *np.linalg.svd(a)],
        "scipy": [scipy.linalg.solve(a, b), *scipy.linalg.qr(a), scipy.linalg.solve_triangular(a, b)],
        "torch": [
            *(x @ y, x @ y[:, 0], torch.linalg.solve(x, y), *torch.linalg.qr(x), *torch.linalg.svd(x)),
            *(torch.tanh(x), torch.sin(x), torch.exp(x), x.sum(0), x.sum()),
        ],
    }
    return {
        library: hashlib.sha256(b"".join(np.asarray(v).tobytes() for v in values)).hexdigest()[:12]
        for library, values in found.items()
    }


if __name__ == "__main__":
    print(json.dumps({"names": names(), "digits": digits()}))
