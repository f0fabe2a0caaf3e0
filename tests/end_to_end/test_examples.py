"""Every manifest in examples/ is valid, and can be planned where its sources exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import assert_never

import pytest

from replsync.manifest.model import Image, Manifest
from replsync.manifest.read import read_manifest
from replsync.oci.build_source import BuildSource
from replsync.oci.reference import Reference
from replsync.oci.source_name import DaemonSource, LayoutSource, RegistrySource, SavedSource, SourceName
from tests.end_to_end.workplace import Workplace
from tests.servers.command import clean_environment
from tests.servers.docker import DockerDaemon
from tests.servers.images import BuiltImage, build_image, load_into
from tests.servers.layouts import layout_archive, saved, write_layout
from tests.servers.push import push
from tests.servers.registry import RegistryServer, StartRegistry

FOLDER = Path(__file__).parents[2] / "examples"
APP = "myapp"  # of an example that leaves it to $REPLICATED_APP
RELEASES = FOLDER / "kots"
EXAMPLES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml") if not path.is_relative_to(RELEASES))


def image_of(name: str) -> BuiltImage:
    """An image that nothing else is."""
    return build_image({"name": name.encode()})


class Stage:
    """Sets up what a manifest speaks of, and notes in `replaced` what has to be said differently in a copy of it."""

    def __init__(self, target: str, source: str, daemon: DockerDaemon) -> None:
        self.target = target
        self.source = source
        self.daemon = daemon
        self.replaced: dict[str, str] = {}
        self.builds: list[BuildSource] = []
        self.files: dict[tuple[str, str], dict[str | None, BuiltImage]] = {}

    def set_up(self, manifest: Manifest) -> None:
        for image in manifest.images:
            repository = f"{manifest.app or APP}/{image.name}"
            for tag in image.tags:
                self._set_up_source(image, tag.tag, repository, image.source_of(tag), tag.digest)
            for retired in image.retired:
                push(self.target, repository, retired.tag, image_of(f"{repository}:{retired.tag}"))

    def _set_up_source(
        self, image: Image, tag: str, repository: str, name: SourceName | None, digest: str | None
    ) -> None:
        match name:
            case RegistrySource(reference):
                built = image_of(reference.digest or str(reference))
                if reference.digest:
                    self.replaced[reference.digest] = built.digest
                self.replaced[f"{reference.repository.host}/"] = f"{self.source}/"
                push(self.source, reference.repository.path, reference.tag or tag, built)
            case DaemonSource(Reference()):
                load_into(self.daemon, image_of(name.image), name.image)
            case DaemonSource():
                built = image_of(name.image)
                load_into(self.daemon, built, f"by-image-id:{tag}")
                self.replaced[name.image] = built.config_digest
            case BuildSource():
                self.builds.append(name)
            case LayoutSource(path, inner, is_archive=is_archive):
                listed = self.files.setdefault((path, "oci-archive" if is_archive else "oci"), {})
                listed[inner] = image_of(f"{path}:{inner}")
            case SavedSource(path, reference):
                self.files.setdefault((path, "docker-archive"), {})[str(reference or "worker:dev")] = image_of(path)
            case None:
                built = image_of(digest or f"{repository}:{tag}")
                if digest:
                    self.replaced[digest] = built.digest
                push(self.target, repository, tag, built)
            case _:
                assert_never(name)

    def offer(self, image: Image) -> int:
        """Push a tag that each example's selector chooses, and return how many that are."""
        if image.select is None or not isinstance(image.source, RegistrySource):
            return 0
        repository = image.source.reference.repository
        tag = "1.9.0-alpine" if image.select.regex else "1.9.0"
        self.replaced[f"{repository.host}/"] = f"{self.source}/"
        push(self.source, repository.path, tag, image_of(f"{repository}:{tag}"))
        return 1

    def write_files(self, folder: Path) -> None:
        """Write the layouts, the archives and what is to be built that the manifest names."""
        for build in self.builds:
            for name in (f"{build.context}/{build.dockerfile}", *(path for _, path in build.secrets)):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text("FROM scratch\nCOPY . /\n")
        for (path, transport), images in self.files.items():
            file = folder / path
            file.parent.mkdir(exist_ok=True)
            match transport:
                case "oci":
                    write_layout(file, images)
                case "oci-archive":
                    file.write_bytes(layout_archive(images))
                case _:
                    file.write_bytes(saved({str(name): image for name, image in images.items()}))

    def rewritten(self, text: str) -> str:
        for old, new in self.replaced.items():
            assert old in text, f"the example doesn't spell {old} out, so that this test can't replace it"
            text = text.replace(old, new)
        line = f"registry: {self.target}"
        text, count = re.subn(r"(?m)^registry:.*$", line, text)
        return text if count else f"{text}\n{line}\n"


@pytest.fixture
def stage(start_docker_registry: StartRegistry, source: RegistryServer, buildx: DockerDaemon) -> Stage:
    """An empty target, an empty source, and the daemon."""
    return Stage(start_docker_registry().host, source.host, buildx)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_valid_and_can_be_planned(workplace: Workplace, stage: Stage, example: str) -> None:
    original = FOLDER / example
    validated = workplace.run("validate", "-f", original)
    assert validated.returncode == 0, validated.stderr
    manifest = read_manifest(original.read_bytes(), example).manifest
    stage.set_up(manifest)
    selected = sum(stage.offer(image) for image in manifest.images)
    stage.write_files(workplace.folder)
    shutil.copytree(RELEASES, workplace.folder / RELEASES.name)
    workplace.manifest.write_text(stage.rewritten(original.read_text()))
    planned = workplace.run("plan", "--format", "json", env={**stage.daemon.env(), "REPLICATED_APP": APP})
    assert planned.returncode == 0, planned.stdout + planned.stderr
    actions = json.loads(planned.stdout)["actions"]
    assert len(actions) == selected + sum(len(image.tags) + len(image.retired) for image in manifest.images)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


def test_the_demo_tells_its_story_to_the_end(tmp_path: Path) -> None:
    """`make demo` is the README's first command: it stops at the first thing that doesn't go as told."""
    environment = clean_environment(tmp_path, {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    told = subprocess.run([FOLDER / "demo.sh"], env=environment, capture_output=True, text=True, timeout=110)
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]
    assert "replsync rollback" in told.stdout
    assert "Traceback" not in told.stdout + told.stderr
