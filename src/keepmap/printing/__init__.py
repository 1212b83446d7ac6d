"""Results as lines and tables; nothing here prints."""
