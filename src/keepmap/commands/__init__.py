"""What each verb of the command line does: run, print, draw, write."""
