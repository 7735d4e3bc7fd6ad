"""What a run writes for others to read: NetCDF, VTK, pictures."""
