"""`replsync doctor`: what is between this machine and a push, looked at one by one."""

import asyncio
import json
import os
import platform
import shutil
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from replsync import __version__
from replsync.cli.journals import journal_folder
from replsync.cli.manifests import manifest_paths, read_all
from replsync.cli.options import DEFAULT_FILE, Connection, Ends, PlainFormatName
from replsync.cli.running import run
from replsync.cli.workspace import token_credential
from replsync.errors import InvalidInput
from replsync.manifest.model import DEFAULT_REGISTRY, Manifest
from replsync.oci.build_source import BuildSource
from replsync.oci.reference import Repository
from replsync.oci.source_name import DaemonSource, RegistrySource, SourceName
from replsync.plan.claims import Member
from replsync.plan.escaping import harmless
from replsync.registry.client import RegistryClient, Settings
from replsync.registry.credentials import Credential, CredentialStore
from replsync.registry.examination import Examination, Subject
from replsync.registry.finding import Finding, Verdict
from replsync.registry.persistence import Persistence
from replsync.registry.programs import output_of
from replsync.registry.transport import TimeLimits, Transport
from replsync.render.harmless import clean

_SYMBOLS = {Verdict.OK: "ok", Verdict.WARNING: "!!", Verdict.FAILED: "fail", Verdict.SKIPPED: "--"}
_HERE = "this machine"
_INDENT = 20
"""Columns before what a finding says."""
_LITTLE_ROOM = 2 * 1000**3
_SIGN_IN = 4
_FAILED = 1


def examine(hosts: Sequence[str], connection: Connection, tries_upload: bool, format: PlainFormatName) -> None:  # noqa: A002 - the option's name
    """Look at everything, and say what is found. Raises Ends where something failed."""
    found = run(_shown(_all_findings(hosts, connection, tries_upload), format))
    failed = [finding for finding in found if finding.verdict is Verdict.FAILED]
    if format is PlainFormatName.JSON:
        print(_document(found))
    else:
        print(_summary(found))
    if failed:
        raise Ends(_SIGN_IN if all(finding.is_sign_in for finding in failed) else _FAILED)


async def _shown(findings: AsyncIterator[Finding], format: PlainFormatName) -> list[Finding]:  # noqa: A002 - the option's name
    """Print each finding as soon as it is there, where it is text; return them all."""
    found: list[Finding] = []
    async for finding in findings:
        if format is PlainFormatName.TEXT:
            if not found or found[-1].about != finding.about:
                print(end="\n" if found else "")
                print(clean(finding.about or _HERE))
            print(*_lines(finding), sep="\n", flush=True)
        found.append(finding)
    return found


def _lines(finding: Finding) -> Iterator[str]:
    first, *others = _folded(clean(finding.said))
    yield f"  {_SYMBOLS[finding.verdict]:<4}  {finding.check:<11} {first}"
    yield from (f"{'':<{_INDENT}}{line}" for line in others)
    if finding.hint:
        first, *others = _folded(f"next: {clean(finding.hint)}")
        yield f"{'':<{_INDENT}}{first}"
        yield from (f"{'':<{_INDENT}}      {line}" for line in others)


def _folded(text: str) -> list[str]:
    """The lines of a text for the terminal's width; one line where there is no terminal."""
    if not sys.stdout.isatty():
        return [text]
    width = max(shutil.get_terminal_size().columns - _INDENT - len("next: "), 30)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _summary(found: Sequence[Finding]) -> str:
    failed, warned = (
        sum(finding.verdict is verdict for finding in found) for verdict in (Verdict.FAILED, Verdict.WARNING)
    )
    if not failed and not warned:
        return "\nNothing is in the way."
    return f"\n{failed} failed, {warned} {'warning' if warned == 1 else 'warnings'}."


def _document(found: Sequence[Finding]) -> str:
    findings = [
        {
            "about": finding.about or None,
            "check": finding.check,
            "verdict": finding.verdict.value,
            "said": clean(finding.said),
            "next": finding.hint and clean(finding.hint),
        }
        for finding in found
    ]
    return harmless(json.dumps({"format": "replsync.doctor/1", "findings": findings}, indent=2, ensure_ascii=False))


async def _all_findings(hosts: Sequence[str], connection: Connection, tries_upload: bool) -> AsyncIterator[Finding]:
    yield _here("replsync", Verdict.OK, f"{__version__}, Python {platform.python_version()}, {platform.system()}")
    members: tuple[Member, ...] = ()
    is_told = True
    try:
        members, finding = _manifests(connection.files)
    except InvalidInput as error:
        is_told = False
        hint = error.hint or "replsync validate tells every fault, with its line"
        finding = _here("manifest", Verdict.FAILED, error.message.partition("\n")[0], hint)
    yield finding
    yield _room()
    for finding in _journals(members):
        yield finding
    async for finding in _docker(members, connection.timeout):
        yield finding
    tokens: dict[str, Credential] = {}
    if not is_told and not hosts:
        said = "not looked at: the manifest doesn't tell which"
        yield _here("registries", Verdict.SKIPPED, said, "mend it, or name one: replsync doctor HOST")
        return
    subjects = _subjects(hosts, members, frozenset(connection.plain_http))
    for subject in subjects:
        if subject.takes_token:
            tokens |= token_credential(subject.host, os.environ)
    credentials = CredentialStore(os.environ, Path.home(), tokens)
    seconds = connection.timeout
    settings = Settings(plain_http=frozenset(connection.plain_http), persistence=Persistence(attempts=1))
    limits = TimeLimits(connect=seconds, idle=seconds, answer=seconds, retry_after=0)
    async with Transport(limits) as transport:
        client = RegistryClient(transport, credentials, settings)
        for subject in subjects:
            examination = Examination(
                subject, transport, credentials, client, seconds=seconds, tries_upload=tries_upload
            )
            async for finding in examination.findings():
                yield finding


def _here(check: str, verdict: Verdict, said: str, hint: str | None = None) -> Finding:
    return Finding("", check, verdict, said, hint)


def _manifests(files: Sequence[Path]) -> tuple[tuple[Member, ...], Finding]:
    if list(files) == DEFAULT_FILE and not DEFAULT_FILE[0].exists():
        return (), _here("manifest", Verdict.SKIPPED, f"no {DEFAULT_FILE[0]} here", "name one with -f, or write one")
    members = read_all(files, app_later=True)
    images = sum(len(member.file.manifest.images) for member in members)
    apps = ", ".join(sorted({member.target.app or "of no application" for member in members}))
    names = ", ".join(str(path) for path in manifest_paths(files)[:3])
    said = f"{names}: valid, {images} {'image' if images == 1 else 'images'}, {apps}"
    if any(not member.target.app for member in members):
        return members, _here("manifest", Verdict.WARNING, said, "add `app`, or set REPLICATED_APP: plan wants it")
    return members, _here("manifest", Verdict.OK, said)


def _room() -> Finding:
    folder = tempfile.gettempdir()
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return _here("temporary", Verdict.FAILED, f"{folder}: {error.strerror}", "set TMPDIR to a folder with room")
    said = f"{free / 1000**3:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return _here("temporary", Verdict.FAILED, f"{folder} can't be written", "set TMPDIR to a folder that can")
    if free < _LITTLE_ROOM:
        return _here("temporary", Verdict.WARNING, said, "layers that are split or exported need room: set TMPDIR")
    return _here("temporary", Verdict.OK, said)


def _journals(members: Sequence[Member]) -> Iterator[Finding]:
    """Whether journals could be written, by permissions alone."""
    if not members:
        yield _here("journal", Verdict.SKIPPED, "no manifest that one would be beside")
    for folder in dict.fromkeys(journal_folder(Path(member.file.name)) for member in members):
        there = next(parent for parent in (folder, *folder.parents, Path()) if parent.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            yield _here("journal", Verdict.OK, f"{folder} can be written")
        else:
            hint = "make it writable: nothing is pushed that can't be recorded first"
            yield _here("journal", Verdict.FAILED, f"{folder} can't be written", hint)


def _sources(manifest: Manifest) -> Iterator[SourceName]:
    for image in manifest.images:
        yield from (source for tag in image.tags if (source := image.source_of(tag)))
        if image.select and isinstance(image.source, RegistrySource):
            yield image.source


async def _docker(members: Sequence[Member], seconds: float) -> AsyncIterator[Finding]:
    sources = [source for member in members for source in _sources(member.file.manifest)]
    builds = any(isinstance(source, BuildSource) for source in sources)
    if not builds and not any(isinstance(source, DaemonSource) for source in sources):
        yield _here("docker", Verdict.SKIPPED, "no source of the manifest needs it")
        return
    code, said = await _ended(["docker", "version", "--format", "{{.Server.Version}}"], seconds)
    if code:
        yield _here("docker", Verdict.FAILED, said, "start Docker, or point DOCKER_HOST at it")
        return
    yield _here("docker", Verdict.OK, f"the daemon answers, version {said}")
    if builds:
        code, said = await _ended(["docker", "buildx", "version"], seconds)
        if code:
            said, hint = "the plugin isn't there; builds use the classic builder", "install docker-buildx"
            yield _here("buildx", Verdict.WARNING, said, hint)
        else:
            yield _here("buildx", Verdict.OK, said)


async def _ended(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a command, and return its exit code with the end of what it said; any code but 0 where it doesn't run."""
    from replsync.sources.docker_daemon import shown

    try:
        async with asyncio.timeout(seconds):
            code, output = await output_of(command, b"", os.environ, errors=asyncio.subprocess.STDOUT)
    except TimeoutError:
        return -1, f"`{' '.join(command[:2])}`: no answer in {seconds:g} s"
    except OSError:
        return -1, f"the `{command[0]}` command is not installed"
    return code, shown(output.decode(errors="replace"))


def _subjects(hosts: Sequence[str], members: Sequence[Member], plain: frozenset[str]) -> list[Subject]:
    """The registries to look at, targets first."""
    targets: dict[str, list[Repository]] = {}
    for member in members:
        targets.setdefault(member.target.registry, []).extend(member.repositories if member.target.app else ())
    others: dict[str, list[Repository]] = {}
    for member in members:
        for source in _sources(member.file.manifest):
            if isinstance(source, RegistrySource):
                others.setdefault(source.reference.repository.host, []).append(source.reference.repository)
    if not members and not hosts:
        targets[DEFAULT_REGISTRY] = []
    wanted = list(hosts) or [*targets, *sorted(others.keys() - targets.keys())]
    return [_subject(host, targets, others, plain) for host in dict.fromkeys(wanted)]


def _subject(
    host: str,
    targets: Mapping[str, Sequence[Repository]],
    others: Mapping[str, Sequence[Repository]],
    plain: frozenset[str],
) -> Subject:
    is_pushed_to = host in targets or host == DEFAULT_REGISTRY
    repositories = tuple(dict.fromkeys(targets[host] if host in targets else others.get(host, ())))
    return Subject(host, is_pushed_to, repositories, host in plain, takes_token=host in targets or host not in others)
