"""What a lock file holds now, and what has moved, as text."""

from replsync.errors import NotFound
from replsync.manifest.lock import (
    CheckedSelection,
    CheckedSource,
    Finding,
    Lock,
    LockCheck,
    LockedTags,
    Moved,
    NotLocked,
    NotRead,
    OtherTags,
    Same,
    SameTags,
    TagsNotRead,
)
from replsync.oci.recipe import Recipe
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


def test_a_selection_that_moved_is_told_by_its_tags() -> None:
    by = "newest 2, of x"
    old = Lock(NAME, {}, {"a": LockedTags(by, ("1", "2")), "b": LockedTags(by, ()), "d": LockedTags(by, ("1",))})
    new = Lock(
        NAME,
        {},
        {"a": LockedTags(by, ("2", "3")), "c": LockedTags(by, tuple("123456789")), "d": LockedTags("else", ("1",))},
    )
    assert lock_changes(old, new) == (
        "  ~ a  selects +3, -1\n"
        "  - b  selects no tags any more\n"
        "  + c  selects +1, +2, +3, +4, +5, +6, +7, +8 and 1 more\n"
        "  ~ d  selects the same tags\n"
        "x.lock.yaml: 0 sources, 3 selections, 4 changed\n"
    )


def test_what_an_image_becomes_on_its_way_is_told_once() -> None:
    old = Lock(NAME, {}, {}, {"strip": {OLD: NEW}, "split": {OLD: OLD}})
    new = Lock(NAME, {}, {}, {"strip": {OLD: NEW, NEW: OLD}, "split": {NEW: f"{NEW} split to 5"}})
    assert lock_changes(old, new) == (
        f"  - {OLD_SHORT}  goes unchanged  (split)\n"
        f"  + {NEW_SHORT}  becomes {NEW} split to 5  (split)\n"
        f"  + {NEW_SHORT}  becomes {OLD_SHORT}  (strip)\n"
        "x.lock.yaml: 0 sources, 3 changed\n"
    )


def test_a_check_tells_of_selections_too() -> None:
    selections = (
        CheckedSelection("a", SameTags()),
        CheckedSelection("b", OtherTags(("2", "3"), ("1",))),
        CheckedSelection("c", TagsNotRead(NotFound("select tags for c: gone"))),
        CheckedSelection("d", NotLocked()),
    )
    found = LockCheck((), (), selections, ("e",), (Recipe(WORKER),))
    assert check_text(found) == (
        "  ~ b  would select +2, +3, -1\n"
        "  ! c  select tags for c: gone\n"
        "  + d  what its `select` chooses is not in the lock file\n"
        "  - e  selects no tags in the manifest\n"
        "  + docker://ghcr.io/acme/worker:1  what is pushed of it is not in the lock file\n"
        "Lock: 0 sources, 4 selections; 1 moved, 1 can't be read, 2 not in the lock file, 1 not needed.\n"
        "To make the lock file fit the manifest: replsync lock\n"
        "To choose tags anew: replsync lock --upgrade IMAGE\n"
    )
    assert not found.is_complete
    assert not found.is_current
    assert LockCheck((), (), selections[:1]).is_current
    assert not LockCheck((), (), selections[:2]).is_current
    assert LockCheck((), (), selections[:2]).is_complete
