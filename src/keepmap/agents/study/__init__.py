"""A study of compressors: which runs there are, what decides each of them, and doing one."""
