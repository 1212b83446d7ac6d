"""Forward passes of models that are not ours: with their attention in our hands, or read while they run."""
