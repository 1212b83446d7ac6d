"""The tasks: one file per family, found by the registry of `keepmap.kv.tasks.task`."""
