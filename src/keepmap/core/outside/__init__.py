"""What comes from outside is measured before it is taken."""
