"""The code blocks of the documentation, and a shell that runs those that can be run.

In a page, comments in front of a block say what it is to the tests; readers don't see them:

- `<!-- not run: WHY -->`: the block needs what a test hasn't, such as Docker or Replicated's registry
- `<!-- file: NAME -->`: the block is the content of that file, for the commands after it
- `<!-- ends with CODE -->`: the block's last command doesn't end with 0

A page's commands run in their order, in one folder, at a sandbox of their own where they start one.
"""

import re
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *(page for page in ROOT.glob("docs/**/*.md") if "adr" not in page.parts and page.stem != "benchmarks"),
    ]
)
SANDBOX = "127.0.0.1:5000"
"""What pages call their sandbox; here each has a port of its own."""

_BLOCK = re.compile(r"(?ms)((?:^<!-- [^\n]* -->\n)*)^```([a-z]+)\n(.*?)^```$")
_COMMENT = re.compile(r"<!-- (not run|file|ends with):? ?(.*?) -->")
_DEADLINE = 60  # seconds
_CHANGING = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6,12}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "DIGEST"),
    (re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"), "TIME"),
    (re.compile(r"\b[0-9][0-9.,]* (?:B|kB|MB|GB)\b"), "SIZE"),
)


@dataclass(frozen=True)
class Block:
    """A block of code in a page, and what the comments in front of it say."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None = None
    file: str | None = None
    ends_with: int = 0

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """The commands of a console block, each with the output that the page shows for it."""
        found: list[tuple[str, str]] = []
        for part in re.split(r"(?m)^\$ ", self.text)[1:] if self.language == "console" else ():
            command = re.match(r"(?:.*\\\n)*.*\n?", part)
            assert command
            found.append((command[0].strip(), part[command.end() :]))
        return found


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of code of a page."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        said = dict(_COMMENT.findall(found[1]))
        yield Block(
            page,
            text.count("\n", 0, found.start(2)) + 1,
            found[2],
            found[3],
            said.get("not run"),
            said.get("file"),
            int(said.get("ends with", 0)),
        )


def is_as_shown(shown: str, output: str) -> bool:
    """Whether `output` is what a page shows: `...` stands for anything; digests, times and sizes may be others."""
    pattern = ""
    for line in _steady(shown):
        if line in ("...", "…"):
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*".join(re.escape(part) for part in re.split(r"\.\.\.|…", line)) + r"\n"
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _steady(output))) is not None


def _steady(text: str) -> list[str]:
    for changing, name in _CHANGING:
        text = changing.sub(name, text)
    return [line.rstrip() for line in text.strip("\n").split("\n")] if text.strip() else []


class Shell:
    """A shell in a folder, with replsync in it, and at most one sandbox beside it."""

    def __init__(self, folder: Path, env: Mapping[str, str], replsync: str, port: int) -> None:
        self._folder = folder
        self._env = env
        self._replsync = replsync
        self._address = f"127.0.0.1:{port}"
        self._port = port
        self._sandbox: subprocess.Popen[str] | None = None
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._feed(f'replsync() {{ {replsync} "$@"; }}')

    def write(self, name: str, text: str) -> None:
        """Write a file that a page shows into the folder that the shell is in."""
        folder, _ = self._answer("pwd")
        Path(folder.strip(), name).write_text(text.replace(SANDBOX, self._address))

    def run(self, command: str) -> tuple[str, int]:
        """Run a command; returns its output, stderr included, and its exit code. A sandbox stays in the background."""
        if command.startswith("replsync sandbox"):
            return self._start_sandbox(command), 0
        output, code = self._answer(command.replace(SANDBOX, self._address))
        return output.replace(self._address, SANDBOX), code

    def close(self) -> None:
        """End the shell and its sandbox."""
        for process in (self._shell, self._sandbox):
            if process:
                process.kill()
                process.wait(_DEADLINE)
                for stream in (process.stdin, process.stdout):
                    if stream:
                        stream.close()

    def _feed(self, line: str) -> None:
        assert self._shell.stdin
        self._shell.stdin.write(f"{line}\n")
        self._shell.stdin.flush()

    def _answer(self, command: str) -> tuple[str, int]:
        end = f"--- that was it {time.monotonic_ns()}:"
        self._feed(f"{{ {command}\n}} < /dev/null; ended=$?; echo; echo '{end}'$ended")
        output = ""
        timer = threading.Timer(_DEADLINE, self._shell.kill)
        timer.start()
        try:
            assert self._shell.stdout
            for line in self._shell.stdout:
                if line.startswith(end):
                    return output.removesuffix("\n"), int(line.removeprefix(end))
                output += line
        finally:
            timer.cancel()
        raise AssertionError(f"it did not end: {command}\n{output}")

    def _start_sandbox(self, command: str) -> str:
        assert self._sandbox is None, "a page has one sandbox"
        arguments = command.split("#")[0].removeprefix("replsync").strip()
        log = self._folder.parent / "sandbox.log"
        self._sandbox = subprocess.Popen(
            ["bash", "-c", f"exec {self._replsync} {arguments} --port {self._port} > '{log}' 2>&1"],
            env=self._env,
            text=True,
        )
        deadline = time.monotonic() + _DEADLINE
        said, before = "", None
        while not said or said != before:  # it has said all when nothing more comes
            assert self._sandbox.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            before = said
            time.sleep(0.3)
            said = log.read_text()
        return said.replace(self._address, SANDBOX)
