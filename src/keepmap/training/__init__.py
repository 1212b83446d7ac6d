"""How the embedded models and their surrogates are trained, and where learning histories come from."""
