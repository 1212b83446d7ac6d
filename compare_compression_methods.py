"""Compare KV-cache compression methods: the same as `keepmap compare`, under the name that old commands use.

From Python: `from compare_compression_methods import compare_compression_methods`.
"""

import sys

__all__ = ["compare_compression_methods"]

if __name__ == "__main__":
    # The command answers to --help and to errors before anything heavy is loaded.
    from keepmap.cli import main

    sys.exit(main(["compare", *sys.argv[1:]]))
else:
    from keepmap import compare_compression_methods
