"""The command ``repnet-pde``."""
