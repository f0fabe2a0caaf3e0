"""Files and helpers with credentials, as Docker and Podman have them."""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from replsync.registry.credentials import CredentialStore
from tests.registry.clients import SECRET

HOST = "registry.example.com"

Install = Callable[[str, str], CredentialStore]
"""Make the script `docker-credential-NAME` and return a store that finds it."""


def auth(username: str = "ann", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def docker_config(home: Path, content: object) -> Path:
    """Write `~/.docker/config.json`."""
    return written(home / ".docker" / "config.json", content)


def written(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def helped_store(home: Path) -> CredentialStore:
    """A store that looks for helpers in `bin` of the home folder first."""
    return CredentialStore({"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}, home)


@pytest.fixture
def install(tmp_path: Path) -> Install:
    programs = tmp_path / "bin"
    programs.mkdir()

    def make(name: str, script: str) -> CredentialStore:
        path = programs / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return helped_store(tmp_path)

    return make
