"""The git commit of a file."""

import os
import subprocess
from pathlib import Path

_PATIENCE = 10
"""Seconds."""
_OF_A_HOOK = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
"""What git sets where it runs us itself: they name its repository, not that of the file."""


def commit_of(path: Path) -> str | None:
    """Return the commit that is checked out where `path` lies, with `-dirty` where the file is not as committed.

    None where there is no git, no repository, or no commit.
    """
    commit = _git(path.parent, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return None
    changed = _git(path.parent, "status", "--porcelain", "--ignored", "--untracked-files=all", "--", path.name)
    return f"{commit.strip()}{'-dirty' if changed != '' else ''}"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={name: value for name, value in os.environ.items() if name not in _OF_A_HOOK},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
