"""Output of a run: NetCDF, VTK, pictures."""
