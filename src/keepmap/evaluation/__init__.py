"""What dropping costs: likelihoods, densities, and the comparison of methods over samples."""
