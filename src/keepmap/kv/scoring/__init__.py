"""What several scores are made of: rotations, attention that is expected or observed, sums of queries."""
