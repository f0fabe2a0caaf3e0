"""What a lock file holds now, and what has moved, as text."""

from replsync.errors import NotFound
from replsync.manifest.lock import CheckedSource, Finding, Lock, LockCheck, Moved, NotLocked, NotRead, Same
from replsync.oci.source_name import parse_source
from replsync.render.lock import check_text, lock_changes
from tests.plan.situations import digest

NAME = "x.lock.yaml"
WORKER, WEB, OTHER = (parse_source(f"ghcr.io/acme/{name}") for name in ("worker:1", "web:1", "other:1"))
OLD, NEW = digest("D"), digest("E")
OLD_SHORT, NEW_SHORT = "3f39d5c348e5", "a9f51566bd67"


def checked(finding: Finding, *labels: str) -> LockCheck:
    return LockCheck((CheckedSource(WORKER, labels or ("worker:1",), finding),), ())


def test_what_lock_has_changed_is_listed_by_source() -> None:
    changes = lock_changes(Lock(NAME, {WORKER: OLD, WEB: OLD, OTHER: OLD}), Lock(NAME, {WORKER: NEW, OTHER: OLD}))
    assert changes == (
        f"  - docker://ghcr.io/acme/web:1  {OLD_SHORT} -> (none)\n"
        f"  ~ docker://ghcr.io/acme/worker:1  {OLD_SHORT} -> {NEW_SHORT}\n"
        "x.lock.yaml: 2 sources, 2 changed\n"
    )
    assert lock_changes(None, Lock(NAME, {WEB: OLD})) == (
        f"  + docker://ghcr.io/acme/web:1  (none) -> {OLD_SHORT}\nx.lock.yaml: 1 source, 1 changed\n"
    )


def test_without_a_change_only_the_count_is_told() -> None:
    assert lock_changes(Lock(NAME, {WEB: OLD}), Lock(NAME, {WEB: OLD})) == "x.lock.yaml: 1 source, no changes\n"
    assert check_text(checked(Same(OLD))) == "Lock: 1 source; all as locked.\n"


def test_a_source_that_moved_is_told_with_its_tags_and_the_next_move() -> None:
    assert check_text(checked(Moved(OLD, NEW), "web:1", "worker:1")) == (
        f"  ~ docker://ghcr.io/acme/worker:1  {OLD_SHORT} -> {NEW_SHORT}  (for web:1, worker:1)\n"
        "Lock: 1 source; 1 moved.\n"
        "To take what has moved: replsync lock --upgrade IMAGE:TAG\n"
    )


def test_many_tags_of_one_source_are_counted() -> None:
    text = check_text(checked(NotLocked(), *(f"worker:{number}" for number in range(5))))
    assert "(for worker:0, worker:1, worker:2 and 2 more)\n" in text


def test_what_the_lock_file_lacks_or_has_too_much_is_for_lock_to_mend() -> None:
    assert check_text(checked(NotLocked())) == (
        "  + docker://ghcr.io/acme/worker:1  not in the lock file  (for worker:1)\n"
        "Lock: 1 source; 1 not in the lock file.\n"
        "To make the lock file fit the manifest: replsync lock\n"
    )
    assert check_text(LockCheck((), (WEB,))) == (
        "  - docker://ghcr.io/acme/web:1  nothing in the manifest needs it\n"
        "Lock: 0 sources; 1 not needed.\n"
        "To make the lock file fit the manifest: replsync lock\n"
    )


def test_a_source_that_cannot_be_read_says_why_harmlessly() -> None:
    text = check_text(checked(NotRead(OLD, NotFound("look up x: \x1b[2Jgone"))))
    assert text == (
        "  ! docker://ghcr.io/acme/worker:1  can't be read: look up x: \N{REPLACEMENT CHARACTER}[2Jgone"
        "  (for worker:1)\nLock: 1 source; 1 can't be read.\n"
    )
