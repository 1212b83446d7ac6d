"""What came of a run of tasks: rows, tables, verdicts, files."""
