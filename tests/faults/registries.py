"""docker-registry for the matrix, inside of pytest and without it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import program, running

_LISTENING = re.compile(r"listening on (127\.0\.0\.1:[0-9]+)")


@contextmanager
def docker_registry_in(folder: Path) -> Iterator[str]:
    """Run one that keeps its data in `folder`, until the block ends; yields HOST:PORT."""
    folder.mkdir(parents=True, exist_ok=True)
    log, config = folder / "log", folder / "config.yml"
    content = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": "127.0.0.1:0", "secret": "tests"},
    }
    config.write_text(json.dumps(content))  # it reads YAML, which JSON is too

    def host() -> str | None:
        listening = _LISTENING.search(log.read_text())
        return listening[1] if listening else None

    command = [program("docker-registry", "docker-registry"), "serve", str(config)]
    with running(command, log, host) as found:
        yield found
