"""Work on somebody else's workers: a schedule, calls that travel, any executor, and one for a Ray cluster."""
