"""The recipe of the embedded model `tiny`; `python -m keepmap.training.tiny --help` says what it does."""
