"""What models read: texts, facts to recall, prose that every CPython carries."""
