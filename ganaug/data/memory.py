"""Memory for a file, asked for before it is read."""

from pathlib import Path

from ganaug.errors import DataError


def require_memory(path: Path, n_bytes: int) -> None:
    """Raise DataError if what a file holds cannot be held in memory."""
    import psutil

    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise DataError(
            f"{path} holds {n_bytes / 1e9:.1f} GB, and {free / 1e9:.1f} GB of memory are free. Take fewer "
            "samples."
        )
