"""`replsync --version`: what a report of a fault should begin with."""

import platform
from importlib.metadata import PackageNotFoundError, version

from replsync import __version__

_LIBRARIES = ("aiohttp", "isal", "pydantic", "python-on-whales", "ruamel.yaml", "tenacity", "typer")


def version_text() -> str:
    """Return three lines: the version alone, Python and system, and the libraries that have a part in most faults."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    return f"replsync {__version__}\n{python} on {system}\n{libraries}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # an install by other means, such as a distribution's package
        return "(unknown)"
