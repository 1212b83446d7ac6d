"""What files are: what stands at a path, whose it is, bounded lines, tensors and results with a checksum."""
