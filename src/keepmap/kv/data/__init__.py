"""What a language model reads: texts of a file, facts to recall, prose that every CPython carries."""
