"""What joins by name: the registries, options as text, and plugins of the user's own."""
