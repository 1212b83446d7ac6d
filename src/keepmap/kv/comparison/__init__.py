"""Every method on every text: plan, sessions, workers, results, rows, files."""
