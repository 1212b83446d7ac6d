"""What can be said of methods that were measured on the same samples: who beats whom, and how much was lost."""
