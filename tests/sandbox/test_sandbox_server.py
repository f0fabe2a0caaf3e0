import asyncio
import signal
import socket
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import replsync
from replsync.errors import ReplsyncError, UsageError
from replsync.sandbox import Answered, SandboxOptions, serve
from tests.sandbox.client import Client, open_client, sha256
from tests.servers.images import build_image, build_index

NAME = "myapp/worker"
SCOPE = f"repository:{NAME}:pull,push"
IMAGE = build_image({"hello": b"one"})
INDEX = build_index([IMAGE, build_image({"hello": b"two"}, platform="linux/arm64")])

SCRIPT = """
import asyncio, sys
from pathlib import Path
from replsync.sandbox import SandboxOptions, serve_until_stopped
options = SandboxOptions(data=Path(sys.argv[1]))
asyncio.run(serve_until_stopped(options, lambda sandbox: print(sandbox.host, flush=True)))
"""


@contextmanager
def sandbox_process(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A sandbox as a process of its own, and its host."""
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(data)],
        cwd=Path(replsync.__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def fails_to_start(options: SandboxOptions) -> ReplsyncError:
    with pytest.raises(ReplsyncError) as raised:
        async with serve(options):
            pytest.fail("it started")
    assert raised.value.hint
    return raised.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", "::1", "[::1]"])
async def test_it_listens_where_it_says(host: str) -> None:
    async with serve(SandboxOptions(host=host)) as sandbox:
        assert sandbox.host.rpartition(":")[0] == ("[::1]" if "::1" in host else host)
        async with open_client(sandbox.host, SCOPE) as client:
            assert (await client.ask("GET", "/v2/")).status == 200


async def test_it_listens_on_the_chosen_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with serve(SandboxOptions(port=port)) as sandbox:
        assert sandbox.host == f"127.0.0.1:{port}"


async def test_a_port_in_use_is_an_error_with_a_next_move() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = await fails_to_start(SandboxOptions(port=port))
    assert error.message == f"sandbox: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert "another port" in (error.hint or "")


@pytest.mark.parametrize("port", [-1, 65536])
async def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    error = await fails_to_start(SandboxOptions(port=port))
    assert isinstance(error, UsageError)
    assert error.message == f"sandbox: {port} is not a port"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "registry.example", "", "127.0.0.1.example"])
async def test_a_host_that_is_not_loopback_is_refused(host: str) -> None:
    error = await fails_to_start(SandboxOptions(host=host))
    assert isinstance(error, UsageError)
    assert "not a loopback address" in error.message


def test_the_options_do_not_show_the_passwords() -> None:
    assert "hunter2" not in repr(SandboxOptions(password="hunter2", more_passwords=("hunter2",)))


async def test_a_data_folder_outlives_the_sandbox(tmp_path: Path) -> None:
    options = SandboxOptions(data=tmp_path / "new" / "data")
    async with serve(options) as sandbox, open_client(sandbox.host, SCOPE) as client:
        await client.push(NAME, "1.0", INDEX)
        location = await client.start_upload(NAME)
    async with serve(options) as sandbox, open_client(sandbox.host, SCOPE) as client:
        assert (await client.ask("GET", f"/v2/{NAME}/manifests/1.0")).body == INDEX.manifest
        assert (await client.ask("GET", f"/v2/{NAME}/tags/list")).json()["tags"] == ["1.0"]
        for image in INDEX.images:
            assert (await client.ask("GET", f"/v2/{NAME}/manifests/{image.digest}")).body == image.manifest
            for digest, blob in image.blobs.items():
                assert (await client.ask("GET", f"/v2/{NAME}/blobs/{digest}")).body == blob
        assert (await client.ask("GET", location)).code == "BLOB_UPLOAD_UNKNOWN"


async def test_a_blob_is_one_file_named_by_its_digest(tmp_path: Path) -> None:
    async with serve(SandboxOptions(data=tmp_path)) as sandbox:
        scope = f"{SCOPE}+repository:myapp/other:pull,push"
        async with open_client(sandbox.host, scope) as client:
            digest = await client.push_blob(NAME, b"content")
            await client.push_blob("myapp/other", b"content")
    blobs = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert blobs == [tmp_path / "blobs" / "sha256" / digest.removeprefix("sha256:")]
    assert blobs[0].read_bytes() == b"content"


async def test_what_is_given_up_leaves_no_file(tmp_path: Path) -> None:
    async with serve(SandboxOptions(data=tmp_path)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        await client.ask("DELETE", await client.start_upload(NAME))
        wrong = sha256(b"other content")
        await client.ask("PUT", f"{await client.start_upload(NAME)}&digest={wrong}", b"content")
        await client.ask("POST", f"/v2/{NAME}/blobs/uploads/?digest={wrong}", b"content")
        await client.ask(
            "POST", f"/v2/{NAME}/blobs/uploads/?digest={wrong}", b"content", {"Content-Range": "not a range"}
        )
        assert files_in(tmp_path / "uploads") == []


async def test_without_a_data_folder_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with serve(SandboxOptions()) as sandbox, open_client(sandbox.host, SCOPE) as client:
        await client.push(NAME, "1.0", IMAGE)
        await client.start_upload(NAME)
        assert files_in(tmp_path)
    assert files_in(tmp_path) == []


async def test_a_killed_sandbox_keeps_what_was_complete_and_nothing_else(tmp_path: Path) -> None:
    with sandbox_process(tmp_path) as (process, host):
        async with open_client(host, SCOPE) as client:
            await client.push(NAME, "1.0", IMAGE)
            await client.ask("PATCH", await client.start_upload(NAME), b"half of a blob")
            process.kill()
    assert files_in(tmp_path / "uploads")
    async with serve(SandboxOptions(data=tmp_path)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        assert (await client.ask("GET", f"/v2/{NAME}/manifests/1.0")).body == IMAGE.manifest
        for digest, blob in IMAGE.blobs.items():
            assert (await client.ask("GET", f"/v2/{NAME}/blobs/{digest}")).body == blob
        assert files_in(tmp_path / "uploads") == []


async def test_two_sandboxes_cannot_share_a_data_folder(tmp_path: Path) -> None:
    with sandbox_process(tmp_path) as (_, host):
        error = await fails_to_start(SandboxOptions(data=tmp_path))
        async with open_client(host, SCOPE) as client:
            assert await client.push_blob(NAME, b"content")
    assert error.message == f"sandbox: cannot keep data in {tmp_path}: database is locked"
    assert "two sandboxes cannot share one" in (error.hint or "")


async def test_a_data_folder_that_is_a_file_is_an_error_with_a_next_move(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot keep data in" in (await fails_to_start(SandboxOptions(data=tmp_path / "file"))).message


async def test_a_data_folder_with_something_else_in_it_is_an_error_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").write_text("somebody's notes, much longer than the header of a database would be" * 10)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "mine").write_text("mine")
    assert "file is not a database" in (await fails_to_start(SandboxOptions(data=tmp_path))).message
    assert (tmp_path / "uploads" / "mine").read_text() == "mine"


async def test_a_folder_that_fails_is_told_in_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serve(SandboxOptions(data=tmp_path)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        (tmp_path / "uploads").rmdir()
        answer = await client.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    assert (answer.status, answer.code) == (500, "UNKNOWN")
    assert "No such file or directory" in answer.json()["errors"][0]["message"]
    assert not caplog.records


async def test_every_answered_request_is_observed() -> None:
    seen: list[Answered] = []
    async with serve(SandboxOptions(), seen.append) as sandbox, open_client(sandbox.host) as anonymous:
        await anonymous.ask("GET", "/v2/")
        client = await anonymous.signed_in(SCOPE)
        digest = await client.push_blob(NAME, b"content")
        await client.ask("GET", f"/v2/{NAME}/blobs/{digest}?ns=x")
        await client.ask("GET", "/v2/%1b%5B31m/tags/list")
    session = seen[3].path
    assert seen == [
        Answered("GET", "/v2/", 401, 0),
        Answered("GET", "/v2/token", 200, 0),
        Answered("POST", f"/v2/{NAME}/blobs/uploads/", 202, 0),
        Answered("PUT", session, 201, 7),
        Answered("GET", f"/v2/{NAME}/blobs/{digest}", 200, 0),
        Answered("GET", "/v2/%1b%5B31m/tags/list", 400, 0),
    ]


async def test_memory_does_not_grow_with_a_blob(tmp_path: Path) -> None:
    mebibyte, count = bytes(range(256)) * 4096, 64

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield mebibyte

    digest = sha256(mebibyte * count)
    async with serve(SandboxOptions(data=tmp_path)) as sandbox, open_client(sandbox.host, SCOPE) as client:
        tracemalloc.start()
        try:
            answer = await client.ask("PUT", f"{await client.start_upload(NAME)}&digest={digest}", body())
            assert answer.status == 201
            assert await download(client, digest) == count * len(mebibyte)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 * len(mebibyte)  # client and server together


async def download(client: Client, digest: str) -> int:
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.http.get(f"http://{client.host}/v2/{NAME}/blobs/{digest}", headers=headers) as answer:
        return sum([len(piece) async for piece in answer.content.iter_any()])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with sandbox_process(tmp_path) as (process, host):
        assert host.startswith("127.0.0.1:")
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0


async def test_it_stops_while_a_request_is_under_way() -> None:
    async with serve(SandboxOptions()) as sandbox, open_client(sandbox.host, SCOPE) as client:
        location = await client.start_upload(NAME)
        reader, writer = await asyncio.open_connection(*sandbox.host.split(":"))
        head = f"PATCH {location} HTTP/1.1\r\nHost: {sandbox.host}\r\nAuthorization: Bearer {client.token}\r\n"
        writer.write(f"{head}Expect: 100-continue\r\nContent-Length: 100\r\n\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
    writer.close()
    await writer.wait_closed()
