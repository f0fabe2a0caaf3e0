"""`replsync init`: from an empty folder to a manifest that can be planned."""

from pathlib import Path

import pytest

from replsync.manifest.read import read_manifest
from replsync.oci.source_name import SourceName
from tests.end_to_end.terminal import terminal
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.command import clean_environment, replsync_command
from tests.servers.images import build_image
from tests.servers.push import push
from tests.servers.sandbox import RunningSandbox

IMAGE = build_image({"a": b"one"})


def test_init_writes_a_manifest_that_is_valid_and_formatted(workplace: Workplace) -> None:
    done = workplace.run("init", "--app", "myapp")
    assert done.returncode == 0, done.stderr
    text = workplace.manifest.read_text()
    assert text.startswith("# yaml-language-server: $schema=replicated-images.schema.json\n")
    assert "    source: ghcr.io/acme/worker # REPLACE this" in text
    assert "put your own source into replicated-images.yaml" in done.stdout
    assert (workplace.folder / "replicated-images.schema.json").exists()
    assert workplace.run("validate").returncode == 0
    assert workplace.run("fmt", "--check").returncode == 0


@pytest.mark.parametrize(
    ("options", "source", "tags"),
    [
        (["--source", "ghcr.io/acme/api:1.10"], "ghcr.io/acme/api", {"1.10": None}),
        (["--source", "ghcr.io/acme/api", "--tag", "2.0"], "ghcr.io/acme/api", {"2.0": None}),
        (["--source", "ghcr.io/acme/api:1.10", "--tag", "2.0"], None, {"2.0": "ghcr.io/acme/api:1.10"}),
        (["--source", "docker-daemon:api:dev"], "docker-daemon:api", {"dev": None}),
        (["--source", "oci-archive:dist/api.tar"], None, {"1.0.0": "oci-archive:dist/api.tar"}),
        ([], "ghcr.io/acme/true", {"1.0.0": None}),
    ],
)
def test_init_puts_the_source_where_it_belongs(
    workplace: Workplace, options: list[str], source: str | None, tags: dict[str, str | None]
) -> None:
    done = workplace.run("init", "--app", "myapp", "--registry", "localhost:5000", "--image", "true", *options)
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(workplace.manifest.read_bytes(), "").manifest
    (image,) = manifest.images
    assert (manifest.app, manifest.registry, image.name) == ("myapp", "localhost:5000", "true")
    assert (bare(image.source) if image.source else None) == source
    assert {tag.tag: bare(tag.source) if tag.source else None for tag in image.tags} == tags
    assert workplace.run("fmt", "--check").returncode == 0


def bare(source: SourceName) -> str:
    """The source as it is written mostly."""
    return str(source).removeprefix("docker://")


def test_init_asks_at_a_terminal_until_the_answers_fit(workplace: Workplace, sandbox: RunningSandbox) -> None:
    push(sandbox.host, "source/worker", "1.10", IMAGE, sandbox.credentials)
    environment = clean_environment(workplace.folder, {"REPLICATED_APP": "found"})
    with terminal(replsync_command("init"), workplace.folder, environment) as screen:
        screen.wait_for("Application slug, as in the address of its pages [found]: ")
        screen.type("My App\n")
        screen.wait_for("`my-app`?")
        screen.type("\n")
        screen.wait_for("Registry [registry.replicated.com]: ")
        screen.type(f"{sandbox.host}\n")
        screen.wait_for("[worker]: ")
        screen.type("\n")
        screen.wait_for("Its source")
        screen.type(f"{sandbox.host}/source/worker:1.10\n")
        assert screen.ended() == 0
        assert "replsync plan" in screen.output
    workplace.sign_in(sandbox)
    assert workplace.kinds() == {"worker:1.10": "create"}
    assert "app: found\n" in workplace.manifest.read_text()


def test_init_writes_nothing_where_the_answers_end(workplace: Workplace) -> None:
    with terminal(replsync_command("init"), workplace.folder, clean_environment(workplace.folder)) as screen:
        screen.wait_for("pages: ")
        screen.type("\n")
        screen.wait_for("this one is needed")
        screen.type("\x04")
        assert screen.ended() == 1
        assert "the input ended; nothing was written" in screen.output
    assert list(workplace.folder.iterdir()) == []


def test_init_asks_nothing_where_it_is_told_not_to(workplace: Workplace) -> None:
    command = replsync_command("init", "--yes", "--app", "myapp")
    with terminal(command, workplace.folder, clean_environment(workplace.folder)) as screen:
        assert screen.ended() == 0
    assert workplace.run("validate").returncode == 0


def test_init_never_overwrites_a_file(workplace: Workplace) -> None:
    workplace.manifest.write_text("mine\n")
    assert_refused(workplace.run("init", "--app", "myapp"), 1, "there is a file replicated-images.yaml already")
    assert workplace.manifest.read_text() == "mine\n"
    schema = workplace.folder / "replicated-images.schema.json"
    schema.write_text("{}")
    assert workplace.run("init", "--app", "myapp", "--file", "other.yaml").returncode == 0
    assert schema.read_text() == "{}"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 3, "no --app is given"),
        (["--app", "a/b"], 64, "init: --app 'a/b': an application's slug is"),
        (["--app", "a", "--source", "docker://"], 64, "init: --source"),
        (["--app", "a", "--image", "A"], 64, "did you mean `a`?"),
    ],
)
def test_init_says_what_is_wrong_with_an_option(
    workplace: Workplace, options: list[str], code: int, said: str, tmp_path: Path
) -> None:
    assert_refused(workplace.run("init", *options), code, said)
    assert list(tmp_path.iterdir()) == []
