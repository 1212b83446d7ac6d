"""The recipe of the embedded model `tiny`; `python -m keepmap.recipes.tiny --help` says what it does."""
