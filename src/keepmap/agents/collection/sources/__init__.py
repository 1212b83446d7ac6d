"""Where learning histories come from: one learning algorithm per file, found by scanning at the first look-up."""
