"""`replsync import`: a registry that has tags already is taken over with one command, and nothing of it changes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replsync.manifest.read import read_manifest
from tests.end_to_end.conftest import StartProxy
from tests.end_to_end.desk import writes
from tests.end_to_end.in_process import call
from tests.end_to_end.proxy import Asked, Reaction, error
from tests.end_to_end.workplace import MANIFEST, Workplace, assert_refused
from tests.manifest.strategies import LOOKS_LIKE_SOMETHING_ELSE
from tests.servers.attested import build_attested
from tests.servers.charts import build_chart, build_tombstone
from tests.servers.images import BuiltImage, BuiltIndex, build_image, build_index
from tests.servers.push import push
from tests.servers.registry import RegistryServer
from tests.servers.sandbox import RunningSandbox
from tests.servers.vendor_api import serve_vendor_api

AMD64, ARM64 = (build_image({"a": b"one"}, platform=f"linux/{name}") for name in ("amd64", "arm64"))
IMAGES: Mapping[str, BuiltImage | BuiltIndex] = {
    "an image": AMD64,
    "another": build_image({"b": b"two"}, media="docker"),
    "an index": build_index([AMD64, ARM64]),
    "an attested index": build_attested([AMD64]),
}
CHART = build_chart("worker", "1.0.0")
TOMB = "a tombstone"
TAGS = st.one_of(
    st.sampled_from(
        [*LOOKS_LIKE_SOMETHING_ELSE, "0x1F", "null", "2026-01-01", "true", "Y", "1_000", "1e3", "_", "UPPER"]
    ),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,30}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{128}", fullmatch=True),
)
REASONS = st.sampled_from(["old", "CVE-1: use 1.10", 'say "no"', "#1", "true", "- gone", "é, 世"])
CONTENTS = st.dictionaries(TAGS, st.sampled_from([*IMAGES, TOMB, "a chart"]), min_size=1, max_size=8)


@pytest.fixture
def registry(workplace: Workplace, sandbox: RunningSandbox) -> RunningSandbox:
    """A sandbox that the workplace is signed in to."""
    workplace.env["REPLICATED_API_TOKEN"] = sandbox.credentials.password
    return sandbox


def fill(registry: RunningSandbox, repository: str, contents: Mapping[str, str], reason: str = "old") -> None:
    """Put there what `contents` names, by tag."""
    for tag, kind in contents.items():
        image = IMAGES.get(kind, CHART)
        if kind == TOMB:
            push(registry.host, repository, AMD64.digest, AMD64, registry.credentials)
            image = build_tombstone(f"{registry.host}/{repository}:{tag}", reason, AMD64)
        push(registry.host, repository, tag, image, registry.credentials)


def test_import_writes_what_the_registry_has_and_a_plan_shows_no_changes(
    workplace: Workplace, registry: RunningSandbox
) -> None:
    app = workplace.app
    fill(registry, f"{app}/worker", {"1.9": "an image", "1.10": "an index", "latest": "another", "0.9": TOMB})
    fill(registry, f"{app}/tools/migrate", {"true": "an attested index", "1.0.0": "a chart"})
    done = workplace.run("import", "--registry", registry.host, "--app", app, "worker", f"{app}/tools/migrate")
    assert done.returncode == 0, done.stderr
    text = workplace.manifest.read_text()
    worker, migrate = (IMAGES[kind].digest for kind in ("an image", "an attested index"))
    assert "# yaml-language-server: $schema=replicated-images.schema.json\n" in text
    assert f'      - {{tag: 1.9, digest: "{worker}"}}\n      - {{tag: 1.10, digest: ' in text
    assert "    retired:\n      - {tag: 0.9, reason: old}\n" in text
    assert f'      - {{tag: "true", digest: "{migrate}"}}\n' in text
    assert "left out 1 Helm chart, which replsync never touches: tools/migrate:1.0.0\n" in done.stdout
    assert "wrote replicated-images.yaml: 4 tags, 1 retired, in 2 images\n" in done.stdout
    assert workplace.run("validate").returncode == 0
    assert workplace.is_in_sync()
    assert not [request for request in writes(registry) if "import" in request]


def test_import_writes_the_schema_that_its_first_line_names(workplace: Workplace, registry: RunningSandbox) -> None:
    fill(registry, f"{workplace.app}/worker", {"1.9": "an image"})
    workplace.run("import", "--registry", registry.host, "--app", workplace.app, "worker")
    named = workplace.manifest.read_text().partition("$schema=")[2].partition("\n")[0]
    assert json.loads((workplace.folder / named).read_text())["title"] == "replicated-images.yaml"


@pytest.fixture
def signed_in(sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """A sandbox that this process is signed in to."""
    for name in set(os.environ):
        if name.startswith(("REPLICATED_", "DOCKER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REPLICATED_API_TOKEN", sandbox.credentials.password)
    return sandbox


def count() -> int:
    """A number that no other example has."""
    count.last = getattr(count, "last", 0) + 1  # type: ignore[attr-defined]
    return int(count.last)  # type: ignore[attr-defined]


@given(before=CONTENTS, after=CONTENTS, reason=REASONS, mutable=st.sampled_from([(), ("1*", "latest")]))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_left_to_do_after_an_import_whatever_there_is(
    signed_in: RunningSandbox,
    tmp_path: Path,
    before: dict[str, str],
    after: dict[str, str],
    reason: str,
    mutable: tuple[str, ...],
) -> None:
    """Into a new file first, and then, with more in the registry, into that one."""
    app = f"app{count()}"
    folder = tmp_path / app
    folder.mkdir()
    fill(signed_in, f"{app}/worker", {"1.0": "an image", **before}, reason)
    options = [word for pattern in mutable for word in ("--mutable", pattern)]
    done = call(folder, "import", "--registry", signed_in.host, "--app", app, *options, "worker")
    assert done.code == 0, done.output
    assert_in_sync(folder)
    old = (folder / MANIFEST).read_bytes()
    fill(signed_in, f"{app}/worker", {tag: kind for tag, kind in after.items() if tag not in before}, reason)
    fill(signed_in, f"{app}/api", {"1.0": "an image", **after}, reason)
    done = call(folder, "import", "worker", "api")
    assert done.code == 0, done.output
    assert_in_sync(folder)
    new = (folder / MANIFEST).read_bytes()
    lines = iter(new.splitlines())
    assert all(line in lines for line in old.splitlines())  # in this order, with others in between
    images = {image.name: image for image in read_manifest(new, MANIFEST).manifest.images}
    held = {"1.0": "an image", **after}
    assert {tag.tag for tag in images["api"].tags} == {tag for tag, kind in held.items() if kind in IMAGES}
    assert {entry.tag for entry in images["api"].retired} == {tag for tag, kind in held.items() if kind == TOMB}
    again = call(folder, "import", "worker", "api")
    assert again.code == 0
    assert (folder / MANIFEST).read_bytes() == new


def assert_in_sync(folder: Path) -> None:
    """The plan has no changes, nothing blocked and nothing unlisted."""
    planned = call(folder, "plan", "--format", "json", "--detailed-exitcode")
    assert planned.code == 0, planned.output
    kinds = {action["kind"] for action in json.loads(planned.output)["actions"]}
    assert kinds == {"unchanged"}


def test_import_adds_to_a_manifest_and_leaves_every_other_byte(workplace: Workplace, registry: RunningSandbox) -> None:
    app = workplace.app
    fill(registry, f"{app}/worker", {"1.10": "an image", "1.9": "another", "1.8": TOMB, "1.11": "an image"})
    fill(registry, f"{app}/api", {"2.0": "an index"})
    old = (
        f"# Ours.\r\nversion: 1\r\napp: {app}   # the slug\r\nregistry: {registry.host}\r\nimages:\r\n"
        f'- name: worker   # it works\r\n  tags:\r\n  - {{tag: 1.11, digest: "{AMD64.digest}"}}   # the best\r\n'
        "  # no more\r\n\r\n\r\n# The end."
    )
    workplace.manifest.write_bytes(old.encode())
    done = workplace.run("import", "worker", "api")
    assert done.returncode == 0, done.stderr
    new = workplace.manifest.read_bytes().decode()
    added = f'  - {{tag: 1.9, digest: "{IMAGES["another"].digest}"}}\r\n  - {{tag: 1.10, digest: "{AMD64.digest}"}}\r\n'
    assert added in new
    assert new.replace("\r\n", "").count("\n") == 0
    kept = iter(new.split("\r\n"))
    assert all(line in kept for line in old.split("\r\n"))
    assert "worker  2 tags, 1 retired, 1 listed already\n" in done.stdout
    assert workplace.is_in_sync()


@pytest.mark.parametrize("indented", [True, False])
def test_import_adds_images_to_a_manifest_in_brackets(
    workplace: Workplace, registry: RunningSandbox, indented: bool
) -> None:
    app = workplace.app
    fill(registry, f"{app}/worker", {"1.10": "an image", "1.9": TOMB, "1.0": "another"})
    fill(registry, f"{app}/api", {"2.0": "an index"})
    content = {
        "version": 1,
        "app": app,
        "registry": registry.host,
        "images": [{"name": "worker", "tags": ["1.0"]}],
    }
    workplace.manifest.write_text(json.dumps(content, indent=2 if indented else None))
    done = workplace.run("import", "worker", "api")
    assert done.returncode == 0, done.stderr
    assert workplace.is_in_sync()
    assert workplace.kinds() == dict.fromkeys(["worker:1.10", "worker:1.9", "worker:1.0", "api:2.0"], "unchanged")


@pytest.mark.parametrize(
    "image",
    [
        {"source": "docker-daemon:worker"},
        {"build": {"context": "."}},
        {"source": "docker-archive:all.tar:worker"},
        {"source": "ghcr.io/acme/worker", "select": {"semver": "<1"}},
    ],
)
def test_import_adds_to_an_image_with_a_source_and_asks_no_source(
    workplace: Workplace, registry: RunningSandbox, image: dict[str, object]
) -> None:
    fill(registry, f"{workplace.app}/worker", {"1.9": "an image", "1.8": "an index", "0.1": "another"})
    workplace.write(registry.host, {"name": "worker", "tags": [], **image, "retired": [{"tag": "3", "reason": "x"}]})
    done = workplace.run("import", "worker")
    assert done.returncode == 0, done.stderr
    named = {f"worker:{tag}" for tag in ("1.9", "1.8", "0.1")} - {
        line.split()[2].rstrip(":") for line in done.stdout.splitlines() if line.startswith("left out")
    }
    assert "worker:1.9" in named
    if "select" in image:
        named.discard("worker:0.1")  # `select` would take it from the source, and asks that
    options = [part for name in sorted(named) for part in ("--target", name)]
    assert workplace.run("plan", "--detailed-exitcode", *options).returncode == 0


def test_a_small_image_of_dockers_that_is_pinned_needs_no_source_either(
    workplace: Workplace, registry: RunningSandbox
) -> None:
    small = build_image({"a": b"one"}, media="docker")
    push(registry.host, f"{workplace.app}/worker", "1.2", small, registry.credentials)
    gone = f"{registry.host}/nowhere/x"
    workplace.write(registry.host, {"name": "worker", "source": gone, "retired": [{"tag": "9", "reason": "x"}]})
    assert workplace.run("import", "worker").returncode == 0
    assert workplace.kinds() == {"worker:1.2": "unchanged", "worker:9": "unchanged"}


def test_a_tag_that_the_manifest_calls_mutable_is_pinned_and_that_is_said(
    workplace: Workplace, registry: RunningSandbox
) -> None:
    fill(registry, f"{workplace.app}/worker", {"latest": "an image", "1.9": "an image"})
    workplace.write(registry.host, {"name": "worker", "mutable": ["latest"], "retired": [{"tag": "3", "reason": "x"}]})
    done = workplace.run("import", "worker", "--mutable", "edge")
    assert done.returncode == 0, done.stderr
    assert "note: pinned although `mutable` names it: worker:latest; " in done.stderr
    assert "note: --mutable is for new images, and not for worker\n" in done.stderr
    assert workplace.kinds() == {"worker:latest": "unchanged", "worker:1.9": "unchanged", "worker:3": "unchanged"}


def test_import_without_a_registry_asks_replicateds_and_takes_the_app_from_the_environment(
    workplace: Workplace, registry: RunningSandbox
) -> None:
    fill(registry, f"{workplace.app}/worker", {"1.9": "an image"})
    workplace.env["REPLICATED_APP"] = workplace.app
    assert workplace.run("import", "--registry", registry.host, "worker").returncode == 0
    assert f"app: {workplace.app}\n" in workplace.manifest.read_text()
    del workplace.env["REPLICATED_APP"]
    assert_refused(workplace.run("import", "--file", "other.yaml", "worker"), 3, "no --app is given")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["missing"], 1, "/missing; nothing was written"),
        (["worker:1.9"], 64, "'worker:1.9' is not the name of an image"),
        (["--registry", "http://x", "worker"], 64, "'http://x' is no registry"),
        ([], 64, "doesn't say which images there are"),
        (["charts"], 3, "that a manifest lists"),
    ],
)
def test_import_says_what_it_can_t_do_and_writes_nothing(
    workplace: Workplace, registry: RunningSandbox, args: list[str], code: int, said: str
) -> None:
    fill(registry, f"{workplace.app}/charts", {"1.0.0": "a chart"})
    done = workplace.run("import", "--registry", registry.host, "--app", workplace.app, *args)
    assert_refused(done, code, said)
    assert not workplace.manifest.exists()


def test_import_refuses_a_manifest_for_another_application(workplace: Workplace, registry: RunningSandbox) -> None:
    workplace.write(registry.host, {"name": "worker", "tags": ["1.0"]})
    before = workplace.manifest.read_bytes()
    done = workplace.run("import", "--app", "other", "worker")
    assert_refused(done, 64, f"is for the app {workplace.app}, not other")
    assert workplace.manifest.read_bytes() == before


def test_a_tag_that_can_t_be_read_is_reported_and_the_others_are_written(
    workplace: Workplace, registry: RunningSandbox, start_proxy: StartProxy
) -> None:
    def broken(asked: Asked) -> Reaction | None:
        return error(400) if asked.path.endswith("/manifests/1.9") else None

    fill(registry, f"{workplace.app}/worker", {"1.9": "an image", "1.10": "an index"})
    proxy = start_proxy(registry.host, broken)
    done = workplace.run("import", "--registry", proxy.host, "--app", workplace.app, "worker")
    assert_refused(done, 6, "import: 1 tag can't be read and is not in the manifest")
    assert "not read: worker:1.9: " in done.stdout
    listed = read_manifest(workplace.manifest.read_bytes(), "").manifest.images[0].tags
    assert [tag.tag for tag in listed] == ["1.10"]


def test_a_tag_that_may_move_is_listed_without_its_digest(workplace: Workplace, registry: RunningSandbox) -> None:
    fill(registry, f"{workplace.app}/worker", {"1.9": "an image", "latest": "an image", "edge-main": "an index"})
    options = ("--mutable", "latest", "--mutable", "edge-*", "--mutable", "nightly")
    workplace.run("import", "--registry", registry.host, "--app", workplace.app, *options, "worker")
    (image,) = read_manifest(workplace.manifest.read_bytes(), "").manifest.images
    assert image.mutable == ("latest", "edge-*")
    assert [tag.tag for tag in image.tags if tag.digest is None] == ["edge-main", "latest"]
    fill(registry, f"{workplace.app}/worker", {"latest": "another"})
    assert workplace.is_in_sync()


def test_import_can_write_to_standard_output(workplace: Workplace, registry: RunningSandbox) -> None:
    fill(registry, f"{workplace.app}/worker", {"1.9": "an image"})
    done = workplace.run("import", "--registry", registry.host, "--app", workplace.app, "--file", "-", "worker")
    assert read_manifest(done.stdout.encode(), "").manifest.images[0].tags[0].digest == AMD64.digest
    assert "worker  1 tag" in done.stderr
    assert list(workplace.folder.iterdir()) == []


def test_without_names_the_vendor_api_says_which_images_there_are(
    workplace: Workplace, registry: RunningSandbox
) -> None:
    app, token = workplace.app, registry.credentials.password
    fill(registry, f"{app}/worker", {"1.9": "an image"})
    fill(registry, f"{app}/tools/migrate", {"1.0": "an index"})
    fill(registry, f"{app}/stable/chart", {"1.0": "a chart"})
    names = [f"{app}/worker", "tools/migrate", f"{app}/stable/chart", "gone"]
    with serve_vendor_api({"another": ["x"], app: names}, token) as api:
        workplace.env["REPLICATED_API_ORIGIN"] = api.origin
        done = workplace.run("import", "--registry", registry.host, "--app", app)
    assert done.returncode == 0, done.stderr
    images = read_manifest(workplace.manifest.read_bytes(), "").manifest.images
    assert [image.name for image in images] == ["tools/migrate", "worker"]
    assert workplace.is_in_sync()


@pytest.mark.parametrize(
    ("app", "token", "code", "said"),
    [
        ("unknown", "right", 1, "it knows no such application"),
        ("myapp", "wrong", 4, "it answered 401 to the token in $REPLICATED_API_TOKEN"),
    ],
)
def test_the_vendor_api_s_refusal_is_said_without_the_token(
    workplace: Workplace, registry: RunningSandbox, app: str, token: str, code: int, said: str
) -> None:
    workplace.sign_in(registry)
    with serve_vendor_api({"myapp": ["worker"]}, "right") as api:
        env = {"REPLICATED_API_ORIGIN": api.origin, "REPLICATED_API_TOKEN": token}
        done = workplace.run("import", "--registry", registry.host, "--app", app, env=env)
    assert_refused(done, code, said)
    assert "wrong" not in done.stderr


@pytest.mark.parametrize("origin", ["http://192.0.2.1/vendor", "ftp://x", "https://user:secret@x"])
def test_the_token_is_sent_to_no_address_that_is_not_safe(
    workplace: Workplace, registry: RunningSandbox, origin: str
) -> None:
    done = workplace.run("import", "--registry", registry.host, "--app", "x", env={"REPLICATED_API_ORIGIN": origin})
    assert_refused(done, 3, "read $REPLICATED_API_ORIGIN")
    assert "secret" not in done.stderr


def test_without_names_a_registry_that_lists_its_repositories_is_asked(
    workplace: Workplace, docker_registry: RegistryServer
) -> None:
    app = workplace.app
    for name in ("worker", "tools/migrate"):
        push(docker_registry.host, f"{app}/{name}", "1.0", AMD64)
    push(docker_registry.host, f"{app}-other/api", "1.0", AMD64)
    done = workplace.run("import", "--registry", docker_registry.host, "--app", app)
    assert done.returncode == 0, done.stderr
    images = read_manifest(workplace.manifest.read_bytes(), "").manifest.images
    assert [image.name for image in images] == ["tools/migrate", "worker"]
    assert workplace.is_in_sync()


def test_a_lock_file_fits_the_manifest_after_an_import(workplace: Workplace, registry: RunningSandbox) -> None:
    app = workplace.app
    workplace.sign_in(registry)
    push(registry.host, f"{app}-source/worker", "2.0", AMD64, registry.credentials)
    fill(registry, f"{app}/worker", {"1.9": "an index", "2.0": "an image"})
    workplace.write(
        registry.host, {"name": "worker", "source": f"{registry.host}/{app}-source/worker", "tags": ["2.0"]}
    )
    assert workplace.run("lock").returncode == 0
    assert workplace.run("import", "worker").returncode == 0
    assert workplace.kinds("--locked") == {"worker:1.9": "unchanged", "worker:2.0": "unchanged"}
