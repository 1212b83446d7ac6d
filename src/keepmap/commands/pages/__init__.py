"""What of results becomes an HTML page."""
