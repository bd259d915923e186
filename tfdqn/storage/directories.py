"""`why_no_directory`: says of a path why it is no directory, in the same words for every command."""

from pathlib import Path


def why_no_directory(path: Path) -> str:
    """Words that follow the path, such as "doesn't exist"; empty if it is a directory."""
    if path.is_dir():
        return ""
    if path.exists():
        return "is a file, not a directory"
    return "is a link to what doesn't exist" if path.is_symlink() else "doesn't exist"
