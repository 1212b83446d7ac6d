"""Writing a sample data file, and saying so."""

from pathlib import Path

from keepmap.errors import on_one_line
from keepmap.kv.data.sample import write_sample_data

__all__ = ["sample_data"]


def sample_data(
    out: str | Path,
    n_samples: int = 8,
    seed: int = 0,
    kind: str = "facts",
    length: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write sample texts, one JSON object a line, and print where they are.

    The arguments are the options of `keepmap sample-data`, which `keepmap sample-data --help` describes.

    Raises:
        KeepmapError: of the kind that fits; its message is one line that says what to do.
    """
    path = write_sample_data(out, n_samples=n_samples, seed=seed, kind=kind, length=length, overwrite=overwrite)
    print(f"Wrote {n_samples} texts to {on_one_line(path)}")
    return path
