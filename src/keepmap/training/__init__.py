"""How the embedded models and their surrogates are trained."""
