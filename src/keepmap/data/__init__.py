"""What models read: texts, facts to recall, prose that every CPython carries; dark rooms and learning histories."""
