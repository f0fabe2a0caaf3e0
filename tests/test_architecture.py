"""The rooms of replsync, read from its source: who imports whom, and what the pure rooms may touch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "replsync"

# Room -> the rooms it may import, besides itself and errors. Imports go downward only.
ROOMS = {
    "oci": set[str](),
    "manifest": {"oci"},
    "registry": {"oci"},
    "sandbox": {"oci"},
    "layers": {"oci"},
    "sources": {"registry", "layers", "oci"},
    "plan": {"manifest", "oci"},
    "survey": {"plan", "manifest", "sources", "registry", "oci"},
    "render": {"plan", "manifest", "oci"},
    "apply": {"plan", "sources", "registry", "oci"},
    "cli": {"render", "apply", "survey", "plan", "sources", "registry", "manifest", "oci", "sandbox"},
    "errors": set[str](),
    "__main__": {"cli"},
    "__init__": set[str](),
}
PURE = {"oci", "manifest", "plan"}

# What a pure room must not touch: the network, other processes, the terminal, the clock, chance, the environment, disk.
IMPURE_MODULES = {
    *("aiohttp", "asyncio", "http", "select", "socket", "ssl", "threading", "urllib.request"),
    *("multiprocessing", "os", "platform", "python_on_whales", "shutil", "signal", "subprocess", "sys"),
    *("getpass", "glob", "logging", "random", "rich", "secrets", "tempfile", "time", "typer", "uuid"),
}
IMPURE_METHODS = {
    *("exists", "is_dir", "is_file", "iterdir", "mkdir", "read_bytes", "read_text", "write_bytes", "write_text"),
    *("now", "today", "utcnow"),
}
IMPURE_NAMES = {"input", "open", "print"}

MAX_LINES = 400
HEAVY = {"aiohttp", "jinja2", "jsonschema", "pydantic", "python_on_whales", "ruamel"}


def room_of(path: Path, source: Path) -> str:
    return path.relative_to(source).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside of functions too; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module, names, level):
                # A relative import would go unseen below; ruff bans it too (TID252).
                yield from ((node.lineno, "." * level + f"{module or ''}.{alias.name}") for alias in names)


def forbidden_imports(source: Path) -> Iterator[str]:
    """One sentence for each import that the table of rooms, or pureness, doesn't allow."""
    for path in sorted(source.rglob("*.py")):
        room = room_of(path, source)
        if room not in ROOMS:
            yield f"{path}: {room} is not in the table of rooms"
            continue
        for line, name in imports(ast.parse(path.read_bytes())):
            package, *rest = name.split(".")
            target = rest[0] if rest else ""
            if package == "" or (package == "replsync" and not rest):
                yield f"{path}:{line}: imports {name}: name the room in full"
            elif package == "replsync" and target in ROOMS and target not in ROOMS[room] | {room, "errors"}:
                yield f"{path}:{line}: {room} imports {target}"
            elif room in PURE and any(f"{name}.".startswith(f"{module}.") for module in IMPURE_MODULES):
                yield f"{path}:{line}: {room} is pure and imports {name}"


def impure_calls(source: Path) -> Iterator[str]:
    """One sentence for each call in a pure room that reads a clock, a file or the terminal."""
    for path in sorted(path for path in source.rglob("*.py") if room_of(path, source) in PURE):
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Call(ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                    yield f"{path}:{node.lineno}: a pure room calls .{name}()"
                case ast.Call(ast.Name(name)) if name in IMPURE_NAMES:
                    yield f"{path}:{node.lineno}: a pure room calls {name}()"


def test_rooms_import_only_what_the_table_allows() -> None:
    found = list(forbidden_imports(SOURCE))
    assert not found, "\n".join(found)


def test_pure_rooms_touch_no_clock_disk_or_terminal() -> None:
    found = list(impure_calls(SOURCE))
    assert not found, "\n".join(found)


def test_no_file_is_called_utils() -> None:
    assert list(SOURCE.rglob("util*.py")) == []


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {str(path): len(path.read_bytes().splitlines()) for path in SOURCE.rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > MAX_LINES} == {}


def test_the_command_line_starts_without_heavy_modules() -> None:
    code = "import sys, replsync.cli.main; print(*sys.modules)"
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SOURCE.parent)
    assert started.returncode == 0, started.stderr
    assert HEAVY & {name.partition(".")[0] for name in started.stdout.split()} == set()


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("oci/digest.py", "import os", "oci is pure and imports os"),
        ("oci/digest.py", "import os.path", "oci is pure and imports os.path"),
        ("manifest/model.py", "from urllib.request import urlopen", "manifest is pure and imports urllib.request"),
        ("plan/planner.py", "def f():\n    import asyncio", "plan is pure and imports asyncio"),
        ("plan/planner.py", "from replsync import registry", "plan imports registry"),
        ("registry/client.py", "import replsync.sandbox", "registry imports sandbox"),
        ("sandbox/server.py", "from replsync.registry.client import Client", "sandbox imports registry"),
        ("errors.py", "import replsync.oci", "errors imports oci"),
        ("sources/one.py", "from ..registry import client", "name the room in full"),
        ("helpers/one.py", "", "helpers is not in the table of rooms"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, path: str, code: str, found: str) -> None:
    plant(tmp_path, path, code)
    (message,) = forbidden_imports(tmp_path)
    assert found in message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("oci/digest.py", "import hashlib, json\nfrom replsync.errors import ReplsyncError"),
        ("oci/digest.py", "from urllib.parse import urlsplit"),
        ("oci/digest.py", "from replsync import __version__"),
        ("registry/client.py", "import os, asyncio, aiohttp\nfrom replsync.oci import digest"),
        ("cli/main.py", "from replsync.sandbox import serve"),
    ],
)
def test_an_allowed_import_is_let_through(tmp_path: Path, path: str, code: str) -> None:
    plant(tmp_path, path, code)
    assert list(forbidden_imports(tmp_path)) == []


@pytest.mark.parametrize(
    "code", ["datetime.now(UTC)", "date.today()", "Path('a').read_text()", "open('a')", "print('a')"]
)
def test_a_planted_impure_call_is_found(tmp_path: Path, code: str) -> None:
    plant(tmp_path, "plan/planner.py", code)
    assert len(list(impure_calls(tmp_path))) == 1


def plant(source: Path, path: str, code: str) -> None:
    file = source / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code)
