"""Operator learning: data, last-layer least squares, convolution and hysteresis operators, ground motions."""

from .convolution import ConvolutionOperator
from .data import OperatorData, advection, antiderivative, gaussian_fields, sine_map
from .ground_motions import GroundMotion, read_at2, synthetic_motion, synthetic_motions, write_at2
from .hysteresis import HysteresisOperator
from .least_squares import fit_last_layer, solve_separable

__all__ = [
    "ConvolutionOperator",
    "GroundMotion",
    "HysteresisOperator",
    "OperatorData",
    "advection",
    "antiderivative",
    "fit_last_layer",
    "gaussian_fields",
    "read_at2",
    "sine_map",
    "solve_separable",
    "synthetic_motion",
    "synthetic_motions",
    "write_at2",
]
