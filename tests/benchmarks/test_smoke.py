"""The benchmark runs, in small, so that it is there when somebody wants to measure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.servers import find
from tests.servers.registry import RegistryServer
from tests.servers.skopeo import Skopeo

CHECKOUT = Path(__file__).parents[2]
KEYS = "adghi"  # one of each kind: the others differ from these in sizes alone
LIMIT = 200  # seconds
pytestmark = pytest.mark.timeout(2 * LIMIT)


@pytest.fixture(scope="module")
def results(docker_registry: RegistryServer, skopeo: Skopeo, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a trial wrote; the registry and skopeo are there, since fixtures found them."""
    folder = tmp_path_factory.mktemp("benchmarks")
    options = ("--workload", ",".join(KEYS), "--scale", "0.01", "--rounds", "1", "--limit", "60", "--peers", "skopeo")
    files = ("--report", str(folder / "page.md"), "--json", str(folder / "figures.json"))
    log = folder / "log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "benchmarks", *options, *files]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        status = process.wait(LIMIT)
    finally:
        if process.poll() is None:
            process.terminate()  # by SIGTERM, so that it stops its servers
            process.wait(LIMIT)
    assert status == 0, log.read_text()[-4000:]
    return {"page": (folder / "page.md").read_text(), **json.loads((folder / "figures.json").read_text())}


@pytest.mark.parametrize("key", ["a", "d", "h"])
def test_replsync_and_a_peer_are_measured_and_counted(results: Any, key: str) -> None:
    assert results["failed"] == {}
    workload = results["workloads"][key]
    if workload["left_out"]:
        pytest.skip(workload["left_out"])
    assert {contender["name"] for contender in workload["contenders"]} >= {"replsync", "skopeo"}
    for contender in workload["contenders"]:
        assert [run["fault"] for run in contender["runs"]] == [None], contender
        assert contender["source"]["requests"], contender
        assert contender["target"]["requests"], contender


def test_what_replsync_sends_is_counted_as_the_distinct_blobs(results: Any) -> None:
    workload = results["workloads"]["d"]
    assert workload["contenders"][0]["target"]["sent"]["upload"] == workload["unique_bytes"]


def test_the_plan_of_many_tags_is_measured_beside_wrk(results: Any) -> None:
    heads = results["heads"]
    if find("wrk") is None:
        pytest.skip("wrk is not installed")
    assert heads["heads"] >= 2 * heads["tags"]
    assert all(rate > 0 for rate in heads["wrk"].values())


def test_the_page_has_the_machine_every_workload_and_no_path_of_this_machine(results: Any) -> None:
    page = results["page"]
    assert f"| cores | {results['machine']['cores']} |" in page
    assert all(f"## ({key})" in page for key in KEYS if key != "g" or find("wrk"))
    assert str(CHECKOUT) not in page
    assert str(Path.home()) not in page


def test_every_target_has_a_verdict(results: Any) -> None:
    assert {verdict["workload"] for verdict in results["verdicts"]} == set(KEYS)
