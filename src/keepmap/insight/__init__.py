"""What could be dropped, and is it so? For both wings, tested by deletion."""
