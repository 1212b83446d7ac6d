"""What files are: what stands at a path, whose it is, lines of a bounded length, tensors with a checksum."""
