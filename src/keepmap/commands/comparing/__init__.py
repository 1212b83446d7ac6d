"""What a finished comparison prints and draws, for `compare`."""
