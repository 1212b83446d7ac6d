"""What an agent reaches in context: returns on goals that it never saw, as curves and intervals."""
