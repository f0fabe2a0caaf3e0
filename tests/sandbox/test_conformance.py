"""The OCI distribution conformance suite, against the sandbox.

Its tests of deletion are off, since the sandbox deletes nothing; of the rest, all that version 1.1 of the
specification has are on.
"""

import re
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from replsync.sandbox import SandboxOptions
from replsync.sandbox.limits import REPLICATED
from tests.servers.command import clean_environment
from tests.servers.process import built
from tests.servers.sandbox import RunningSandbox, StartSandbox

DELETION = {"OCI_API_BLOBS_DELETE": "false", "OCI_API_MANIFESTS_DELETE": "false", "OCI_API_TAGS_DELETE": "false"}
REFERRERS = {"OCI_API_REFERRER": "false"}
SUMMARY = re.compile(r"^  ([A-Z][A-Za-z0-9 -]+?)\.+: +([A-Za-z]+)$", re.MULTILINE)

# To mount a blob without saying from where takes a registry that looks into every repository, also into those that the
# client may not read. "The registry MAY treat the from parameter as optional": the sandbox doesn't.
SKIPPED = {f"{algorithm} blobs/mount anonymous/blob-mount-anonymous" for algorithm in ("sha256", "sha512")}
NO_DELETION = {
    *("Blob delete", "Blob delete atomic", "Manifest delete", "Manifest delete atomic", "Tag delete"),
    "Tag delete atomic",
}
NOT_IN_1_1 = {"Blob upload cancel", "Manifest put with tag params", "Sparse Manifests", "Tag Param", "Tag Param sha512"}


@dataclass(frozen=True)
class Outcome:
    """How the suite ended: its tests' names by status, and the status of each part of the API and kind of data."""

    exit_code: int
    says: str
    tests: Mapping[str, list[str]]
    parts: Mapping[str, str]

    def named(self, status: str) -> set[str]:
        """The parts with this status."""
        return {part for part, one in self.parts.items() if one == status}


def run_suite(sandbox: RunningSandbox, folder: Path, off: Mapping[str, str]) -> Outcome:
    settings = {
        "OCI_REGISTRY": sandbox.host,
        "OCI_TLS": "disabled",
        "OCI_USERNAME": sandbox.credentials.username,
        "OCI_PASSWORD": sandbox.credentials.password,
        "OCI_REPO1": "myapp/one",
        "OCI_REPO2": "myapp/two",
        "OCI_VERSION": "1.1",
        "OCI_RESULTS_DIR": str(folder),
        # A token for each request. It would go on with one for the repository alone, and could not mount from another.
        "OCI_CACHE_AUTH": "false",
    }
    env = clean_environment(folder, {**settings, **off})
    done = subprocess.run([built("conformance")], capture_output=True, text=True, cwd=folder, env=env, timeout=100)
    tests = defaultdict(list)
    for case in ET.parse(folder / "junit.xml").iter("testcase"):
        tests[case.attrib["status"]].append(case.attrib["name"].removeprefix("OCI Conformance Test/"))
    return Outcome(done.returncode, done.stdout + done.stderr, tests, dict(SUMMARY.findall(done.stdout)))


def test_the_sandbox_passes_pull_push_and_content_discovery(sandbox: RunningSandbox, tmp_path: Path) -> None:
    outcome = run_suite(sandbox, tmp_path, DELETION)
    assert outcome.tests["failure"] == outcome.tests["error"] == [], outcome.says
    assert outcome.exit_code == 0
    assert len(outcome.tests["passed"]) == 520
    assert outcome.named("Disabled") == NO_DELETION | NOT_IN_1_1
    assert outcome.named("Skip") == {"Blob anonymous mount"}
    assert {one for one in outcome.tests["skipped"] if "delete" not in one and "cancel" not in one} == SKIPPED


def test_with_replicateds_limits_it_lacks_nothing_but_the_referrers(
    start_sandbox: StartSandbox, tmp_path: Path
) -> None:
    outcome = run_suite(start_sandbox(SandboxOptions(limits=REPLICATED)), tmp_path, DELETION | REFERRERS)
    assert outcome.tests["failure"] == outcome.tests["error"] == [], outcome.says
    assert len(outcome.tests["passed"]) == 516
    assert outcome.named("Disabled") == NO_DELETION | NOT_IN_1_1 | {"Referrers"}


def test_the_suite_finds_it_out_where_the_referrers_are_missing(start_sandbox: StartSandbox, tmp_path: Path) -> None:
    outcome = run_suite(start_sandbox(SandboxOptions(limits=REPLICATED)), tmp_path, DELETION)
    assert outcome.exit_code == 1
    assert "Referrers" in outcome.named("FAIL")
