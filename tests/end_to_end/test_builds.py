"""Images that are built: by the classic builder, by BuildKit in the daemon, and by BuildKit elsewhere."""

import json
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.end_to_end.test_interruption import started
from tests.end_to_end.workplace import Workplace, assert_refused
from tests.servers.docker import DockerDaemon
from tests.servers.hello import hello_binary
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

LABEL = "dev.replsync.build.inputs"
CLASSIC = {"DOCKER_BUILDKIT": "0"}


@dataclass(frozen=True)
class Site:
    """A workplace with a context `worker`, and a registry to push to."""

    workplace: Workplace
    registry: RegistryServer
    skopeo: Skopeo

    @property
    def context(self) -> Path:
        return self.workplace.folder / "worker"

    def dockerfile(self, *lines: str, name: str = "Dockerfile") -> None:
        (self.context / name).write_text("\n".join(("FROM scratch", *lines, "")))

    def write(
        self, *tags: Any, mutable: tuple[str, ...] = ("*",), image: dict[str, Any] | None = None, **build: Any
    ) -> None:
        own = {"build": {"context": "./worker", **build}, **(image or {})}
        worker = {"name": "worker", "mutable": list(mutable), "tags": list(tags or ("1",)), **own}
        self.workplace.write(self.registry.host, worker)

    def config(self, tag: str = "1") -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.skopeo.config(self.reference(tag)))
        return config

    def reference(self, tag: str) -> str:
        return f"{self.registry.host}/{self.workplace.app}/worker:{tag}"


@pytest.fixture
def site(workplace: Workplace, docker_registry: RegistryServer, skopeo: Skopeo) -> Site:
    found = Site(workplace, docker_registry, skopeo)
    found.context.mkdir()
    found.dockerfile("COPY . /", 'ENTRYPOINT ["/hello"]')
    hello = found.context / "hello"
    hello.write_bytes(hello_binary())
    hello.chmod(0o755)
    (found.context / "name").write_text(workplace.app)  # so that no test has another one's image
    return found


@pytest.fixture(params=["classic", "buildx", "buildx_apart"])
def builder(request: pytest.FixtureRequest, site: Site) -> DockerDaemon:
    """Each of the builders, in the workplace."""
    if request.param == "classic":
        site.workplace.env.update(CLASSIC)
    daemon: DockerDaemon = request.getfixturevalue("dockerd" if request.param == "classic" else request.param)
    site.workplace.env.update(daemon.env())
    return daemon


@pytest.fixture
def at_buildx(site: Site, buildx: DockerDaemon) -> Site:
    site.workplace.env.update(buildx.env())
    return site


@pytest.fixture
def at_classic(site: Site, dockerd: DockerDaemon) -> Site:
    site.workplace.env.update({**dockerd.env(), **CLASSIC})
    return site


def test_it_is_built_and_pushed_once_and_again_when_something_of_it_has_changed(
    site: Site, builder: DockerDaemon
) -> None:
    workplace = site.workplace
    site.write("1", "latest", args={"VERSION": "1.10"}, mutable=("latest",))
    action = workplace.actions()["worker:1"]
    assert action["kind"] == "create"
    assert action["after"]["digest"] is None
    assert action["notes"] == ["will be built from ./worker, which tells its digest"]
    assert action["bytes"] is None
    shown = workplace.plan().stdout
    assert "from build:./worker (args VERSION)" in shown
    assert "1.10" not in shown

    done = workplace.apply()
    assert "2 created" in done.stdout
    digest = site.skopeo.digest(site.reference("1"))
    assert site.skopeo.digest(site.reference("latest")) == digest  # built once
    journal = next((workplace.folder / ".replsync" / "journal").glob("*.jsonl")).read_text()
    assert digest in journal
    assert site.config()["config"]["Labels"][LABEL] == action["source"]["digest"]
    assert workplace.is_in_sync()

    os.utime(site.context / "hello", (1, 1))
    assert workplace.is_in_sync()
    (site.context / ".dockerignore").write_text("*.log\n.dockerignore\n")
    (site.context / "a.log").write_text("not sent")
    assert workplace.is_in_sync()

    (site.context / "name").write_text("another")
    assert workplace.kinds() == {"worker:1": "blocked", "worker:latest": "update"}
    reason = workplace.actions()["worker:1"]["reason"]
    assert reason.startswith("immutable: the tag holds ")
    assert "build:./worker (args VERSION) is built from other inputs, " in reason
    workplace.apply("--target", "worker:latest")
    assert site.skopeo.digest(site.reference("latest")) != digest
    assert site.skopeo.digest(site.reference("1")) == digest


def test_it_runs_and_has_no_attestations(site: Site, builder: DockerDaemon) -> None:
    site.write()
    site.workplace.apply()
    manifest = json.loads(site.skopeo.inspect_raw(site.reference("1")))
    assert "layers" in manifest
    reference = site.reference("1")
    builder.cli("pull", reference)
    assert builder.cli("run", "--rm", "--network", "none", reference).stdout == "hello from the image\n"


def test_no_tag_is_left_in_the_daemon(site: Site, builder: DockerDaemon) -> None:
    before = builder.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    site.write()
    site.workplace.apply()
    after = builder.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert {name for name in after if name not in before} <= {"<none>:<none>"}


@pytest.mark.parametrize("where", ["build", "image"])
def test_several_platforms_become_an_index(
    site: Site, buildx_apart: DockerDaemon, where: Literal["build", "image"]
) -> None:
    site.workplace.env.update(buildx_apart.env())
    platforms = {"platforms": ["linux/amd64", "linux/arm64"]}
    site.write("1", "2", **(platforms if where == "build" else {"image": platforms}))
    site.workplace.apply()
    index = json.loads(site.skopeo.inspect_raw(site.reference("1")))
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    assert site.skopeo.digest(site.reference("2")) == site.skopeo.digest(site.reference("1"))
    assert site.workplace.is_in_sync()
    (site.context / "name").write_text("another")
    assert site.workplace.kinds() == {"worker:1": "update", "worker:2": "update"}


def test_paths_start_from_the_manifests_folder(at_buildx: Site) -> None:
    site, workplace = at_buildx, at_buildx.workplace
    deploy = workplace.folder / "deploy"
    deploy.mkdir()
    (deploy / "npmrc").write_text("secret")
    site.write(context="../worker", secrets={"npm": "npmrc"})
    workplace.manifest.rename(deploy / "replicated-images.yaml")
    option = ("-f", "deploy/replicated-images.yaml")
    assert workplace.run("lock", *option).returncode == 0
    assert "  build:../worker?secret.npm=npmrc: sha256:" in (deploy / "replicated-images.lock.yaml").read_text()
    workplace.apply(*option)
    assert workplace.is_in_sync(*option)
    (site.context / "name").write_text("another")
    assert workplace.run("lock", "--upgrade", "*", *option).returncode == 0
    assert workplace.plan("--out", "plan.json", *option).returncode == 0
    assert workplace.run("apply", "plan.json").returncode == 0


def test_what_a_failing_build_says_is_in_the_error(site: Site, builder: DockerDaemon) -> None:
    site.dockerfile("COPY missing-file /")
    site.write()
    done = site.workplace.run("apply", "--auto-approve")
    assert done.returncode == 6
    assert "build build:./worker: docker said: " in done.stdout
    assert "missing-file" in done.stdout
    assert "next: " in done.stdout


def test_a_dockerfile_that_takes_buildkit_says_what_to_install(at_classic: Site) -> None:
    at_classic.dockerfile("COPY . /", 'RUN --mount=type=cache,target=/a ["/hello"]')
    at_classic.write()
    done = at_classic.workplace.run("apply", "--auto-approve")
    assert done.returncode == 6
    assert "install Docker's buildx plugin" in done.stdout


def test_layers_that_cant_be_measured_are_warned_of(at_classic: Site) -> None:
    at_classic.write()
    text = at_classic.workplace.manifest.read_text()
    at_classic.workplace.manifest.write_text(text.replace('"unlisted"', '"max_layer_size": "1GB", "unlisted"'))
    assert "is not checked" not in at_classic.workplace.plan().stdout  # when it is pushed it is
    shown = at_classic.workplace.plan("--engine", "docker").stdout
    assert "policy.max_layer_size is not checked for 1 tag: how large layers are is known only" in shown


def test_verbose_shows_what_the_builder_says(site: Site, builder: DockerDaemon) -> None:
    site.write()
    assert "COPY . /" not in site.workplace.apply().stderr
    (site.context / "name").write_text("another")
    assert "COPY . /" in site.workplace.apply("-v").stderr


def test_arguments_stage_and_dockerfile_are_used_and_count(at_buildx: Site) -> None:
    site, workplace = at_buildx, at_buildx.workplace
    (site.context / "docker").mkdir()
    lines = "FROM scratch AS one\nARG SAID\nLABEL said=$SAID stage=one\nCOPY name /\nFROM one AS two\nLABEL stage=two\n"
    (site.context / "docker" / "own").write_text(lines)
    common: dict[str, Any] = {"dockerfile": "docker/own", "args": {"SAID": 'it\'s, "1"'}}
    site.write(**common, target="one")
    workplace.apply()
    labels = site.config()["config"]["Labels"]
    assert (labels["said"], labels["stage"]) == ('it\'s, "1"', "one")
    site.write(**common)
    assert workplace.kinds() == {"worker:1": "update"}
    workplace.apply()
    assert site.config()["config"]["Labels"]["stage"] == "two"
    site.write(**{**common, "args": {"SAID": "2"}})
    assert workplace.kinds() == {"worker:1": "update"}


def test_one_dockerfiles_own_ignore_file_goes_first(at_buildx: Site) -> None:
    site = at_buildx
    (site.context / ".dockerignore").write_text("name\n")
    (site.context / "Dockerfile.dockerignore").write_text("other\n*ignore\n")
    (site.context / "other").write_text("")
    site.write()
    site.workplace.apply()
    (site.context / "other").write_text("changed")
    assert site.workplace.is_in_sync()
    (site.context / "name").write_text("changed")
    assert site.workplace.kinds() == {"worker:1": "update"}


def test_a_secret_is_used_and_nowhere_to_be_seen(at_buildx: Site) -> None:
    site, workplace = at_buildx, at_buildx.workplace
    secret = "hunter2-hunter2"
    (workplace.folder / "a,b").write_text(f"{secret}\n")
    site.write(secrets={"npm": "a,b"})
    workplace.apply()
    label = site.config()["config"]["Labels"][LABEL]
    (workplace.folder / "a,b").write_text("another\n")
    assert workplace.is_in_sync()  # a secret that has changed is no reason to build
    assert secret not in json.dumps(site.config())
    # A build that prints it, here in the name of a program that isn't there.
    (workplace.folder / "a,b").write_text(f"{secret}\n")
    site.dockerfile("COPY . /", f'RUN ["/{secret}"]')
    failed = workplace.run("apply", "--auto-approve", "-v")
    assert failed.returncode == 6
    assert secret not in failed.stdout + failed.stderr
    assert "***" in failed.stdout
    assert label


def test_a_secret_without_a_file_blocks_the_plan(at_buildx: Site) -> None:
    at_buildx.write(secrets={"npm": "npmrc"})
    action = at_buildx.workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert "the secret npm has no file" in action["reason"]


@pytest.mark.parametrize(
    ("build", "files", "said"),
    [
        ({"secrets": {"npm": "manifest"}}, {}, "knows no secrets"),
        ({"platforms": ["linux/amd64", "linux/arm64"]}, {}, "knows no platforms"),
        ({}, {"Dockerfile.dockerignore": ""}, "Dockerfile.dockerignore"),
    ],
)
def test_what_the_classic_builder_cant_do_blocks_the_plan(
    at_classic: Site, build: dict[str, Any], files: dict[str, str], said: str
) -> None:
    (at_classic.workplace.folder / "manifest").write_text("secret")
    for name, text in files.items():
        (at_classic.context / name).write_text(text)
    at_classic.write(**build)
    action = at_classic.workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert said in action["reason"]
    assert "install Docker's buildx plugin" in action["reason"]


def test_the_daemons_own_builder_builds_for_one_platform(at_buildx: Site) -> None:
    at_buildx.write(platforms=["linux/amd64", "linux/arm64"])
    action = at_buildx.workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert "docker buildx create" in action["reason"]


@pytest.mark.parametrize(
    ("context", "dockerfile", "said"),
    [
        ("./missing", "Dockerfile", "does not exist"),
        ("./worker/name", "Dockerfile", "is no folder"),
        ("./worker", "other", "there is no Dockerfile"),
        ("./worker", "out", "is a link out of its context"),
    ],
)
def test_a_context_that_is_not_there_blocks_the_plan(site: Site, context: str, dockerfile: str, said: str) -> None:
    (site.context / "out").symlink_to(site.workplace.manifest)
    site.write(context=context, dockerfile=dockerfile)
    action = site.workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert said in action["reason"]


def test_an_unchanged_build_needs_no_docker(at_classic: Site) -> None:
    at_classic.write()
    at_classic.workplace.apply()
    at_classic.workplace.env["DOCKER_HOST"] = "unix:///nowhere"
    assert at_classic.workplace.is_in_sync()
    (at_classic.context / "name").write_text("another")
    action = at_classic.workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert "start Docker" in action["reason"]


def test_a_saved_plan_builds_what_was_looked_at_or_nothing(at_classic: Site) -> None:
    site, workplace = at_classic, at_classic.workplace
    site.write(args={"A": "1"})
    assert workplace.plan("--out", "plan.json").returncode == 0
    (site.context / "name").write_text("another")
    assert_refused(workplace.run("apply", "plan.json"), 5, "what goes into build:./worker (args A) has changed")
    (site.context / "name").write_text(workplace.app)
    assert workplace.run("apply", "plan.json").returncode == 0
    assert workplace.is_in_sync()
    again = workplace.run("apply", "plan.json")
    assert again.returncode == 0
    assert "already applied" in again.stdout


def wrap(site: Site, script: str) -> None:
    """Put a `docker` first on PATH that begins with this, and goes on as the real one, `{real}`."""
    real = shutil.which("docker")
    programs = site.workplace.folder / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\n{script.format(real=real)}\nexec {real} "$@"\n')
    docker.chmod(0o755)
    site.workplace.env["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"


def test_a_build_that_is_interrupted_is_ended(at_classic: Site) -> None:
    site, pid = at_classic, at_classic.workplace.folder / "pid"
    wrap(site, f'case "$*" in build*) echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 100;; esac')
    site.write()
    with started(site.workplace, "apply", "--auto-approve") as process:
        deadline = time.monotonic() + 60
        while not pid.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert site.workplace.kinds() == {"worker:1": "create"}


def test_a_context_that_changes_while_it_is_built_is_not_pushed(at_buildx: Site) -> None:
    """`docker` changes the context itself, once it has built."""
    site, workplace = at_buildx, at_buildx.workplace
    wrap(site, f'case "$*" in *"buildx build"*) {{real}} "$@" || exit; echo x > {site.context}/name; exit;; esac')
    site.write()
    done = workplace.run("apply", "--auto-approve")
    assert done.returncode == 6
    assert "its context changed while it was built; it was not pushed" in done.stdout
    assert workplace.kinds() == {"worker:1": "create"}


def test_the_lock_file_holds_what_goes_into_it(at_classic: Site) -> None:
    site, workplace = at_classic, at_classic.workplace
    site.write("1", {"tag": "2", "build": {"context": "worker", "args": {"V": "a b"}}})
    assert workplace.run("lock", env={"DOCKER_HOST": "unix:///nowhere"}).returncode == 0
    lock = (workplace.folder / "replicated-images.lock.yaml").read_text()
    assert re.findall(r"^  (build:\S+): sha256:[0-9a-f]{64}$", lock, re.MULTILINE) == [
        "build:./worker",
        "build:worker?arg.V=a%20b",
    ]
    assert workplace.run("lock", "--check").returncode == 0
    assert workplace.kinds("--locked") == {"worker:1": "create", "worker:2": "create"}
    workplace.apply("--locked")
    assert workplace.is_in_sync()
    assert workplace.is_in_sync("--locked")

    (site.context / "name").write_text("another")
    assert workplace.run("lock", "--check").returncode == 2
    action = workplace.actions()["worker:1"]
    assert action["kind"] == "blocked"
    assert "replsync lock --upgrade IMAGE:TAG" in action["reason"]
    assert workplace.run("lock", "--upgrade", "worker").returncode == 0
    assert workplace.kinds() == {"worker:1": "update", "worker:2": "update"}


def test_the_docker_engine_pushes_it(at_classic: Site) -> None:
    at_classic.write()
    at_classic.workplace.apply("--engine", "docker")
    assert LABEL in at_classic.config()["config"]["Labels"]
    assert at_classic.workplace.is_in_sync("--engine", "docker")
    assert at_classic.workplace.is_in_sync()


def test_a_retired_build_is_put_back_without_being_built(at_classic: Site) -> None:
    site, workplace = at_classic, at_classic.workplace
    site.write("1", "2")
    workplace.apply()
    digest = site.skopeo.digest(site.reference("1"))
    site.write("2", image={"retired": [{"tag": "1", "reason": "old"}]})
    workplace.apply()
    site.write("1", "2")
    workplace.env["DOCKER_HOST"] = "unix:///nowhere"
    workplace.apply()
    assert site.skopeo.digest(site.reference("1")) == digest

    assert workplace.run("retire", "worker:1", "--reason", "old", "--auto-approve").returncode == 0
    (site.context / "name").write_text("another, which is not built")
    restored = workplace.run("restore", "worker:1", "--auto-approve")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert site.skopeo.digest(site.reference("1")) == digest
