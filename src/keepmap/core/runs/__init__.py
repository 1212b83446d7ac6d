"""Runs that survive: what run a folder holds, records of what is finished, who is at work there, what goes on."""
