"""What knows no model: KeepMaps, densities, files, one registry, processes, intervals."""
