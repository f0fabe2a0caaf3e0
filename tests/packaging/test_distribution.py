"""The wheel and the sdist, as who installs them has them."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from replsync import __version__
from tests.packaging.conftest import ROOT, Distribution, Installed
from tests.servers.sandbox import RunningSandbox

pytestmark = pytest.mark.timeout(300)  # the requirements come from the package index


def test_the_wheel_holds_the_package_and_nothing_beside_it(handed_out: Distribution) -> None:
    names = zipfile.ZipFile(handed_out.wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"replsync", f"replsync-{__version__}.dist-info"}
    tracked = subprocess.run(["git", "ls-files", "replsync"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name for name in names if name.startswith("replsync/")} == set(tracked.stdout.split())


def test_the_sdist_holds_every_file_that_is_kept_but_those_about_git_and_ci(handed_out: Distribution) -> None:
    with tarfile.open(handed_out.sdist) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    missing = set(tracked.stdout.split()) - held
    assert {path for path in missing if not path.startswith(".")} == set()


def test_the_command_and_the_module_run_where_nothing_else_is_installed(installed: Installed, tmp_path: Path) -> None:
    said = installed.run("replsync", "--version", cwd=tmp_path)
    assert said.splitlines()[0] == f"replsync {__version__}"
    assert "unknown" not in said
    assert installed.run("python", "-m", "replsync", "--version", cwd=tmp_path) == said
    assert "Commands:" in installed.run("replsync", "--help", cwd=tmp_path)
    installed.run("python", "-m", "pip", "check", cwd=tmp_path, env={"PYTHONWARNINGS": "", "PIP_NO_INPUT": "1"})
    where = installed.run("python", "-c", "import replsync; print(replsync.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.bin.parent)


def test_the_schemas_of_the_wheel_are_those_of_the_repository(installed: Installed, tmp_path: Path) -> None:
    for document, name in (("manifest", "replicated-images"), ("plan", "plan")):
        printed = installed.run("replsync", "schema", document, cwd=tmp_path)
        assert printed == (ROOT / f"schemas/{name}.schema.json").read_text()


@pytest.mark.parametrize(("form", "start"), [("text", "Plan: "), ("json", "{"), ("html", "<!doctype html>")])
def test_the_wheel_plans_at_a_registry_in_every_format(
    installed: Installed, sandbox: RunningSandbox, tmp_path: Path, form: str, start: str
) -> None:
    (tmp_path / "replicated-images.yaml").write_text(
        f"version: 1\napp: myapp\nregistry: {sandbox.host}\n"
        "images: [{name: worker, retired: [{tag: 1.9.3, reason: use 1.10}]}]\n"
    )
    token = {"REPLICATED_API_TOKEN": sandbox.credentials.password}
    assert installed.run("replsync", "plan", "--format", form, cwd=tmp_path, env=token).startswith(start)
