"""The version, also of everything that is stored."""

__version__ = "0.2.0"
