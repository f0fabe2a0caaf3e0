"""A program that greets and ends, for images that are run: the one of the sandbox's example images."""

import platform

from replsync.sandbox.program import greeting_program

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def native_platform() -> str:
    """The platform of this machine, as containers know it."""
    return f"linux/{_ARCHITECTURES[platform.machine()]}"


def hello_binary(text: str = "hello from the image\n", machine: str | None = None) -> bytes:
    """An ELF executable for Linux that writes `text` (ASCII, under 64 KiB) and exits with 0.

    `machine` is x86_64 or aarch64, as `uname -m` says; by default this one.
    """
    return greeting_program(text, _ARCHITECTURES[machine or platform.machine()])
