"""What the figures share: style, pages, cells, marks, files."""
