"""What the sandbox holds, in one folder: blobs as files, and a SQLite file for all that is small.

    sandbox.db              image manifests, tags, and which repository has which blob
    blobs/sha256/<hex>      one file for each blob, whichever repositories have it
    uploads/                blobs on their way in; emptied at every start

A change is there as a whole or not at all, also when the process is killed;
a power cut may lose the latest ones, since nothing waits for the disk.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replsync.errors import MachineError
from replsync.oci.digest import Digest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS blob (
    repository TEXT, digest TEXT, PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS manifest (
    repository TEXT, digest TEXT, media_type TEXT NOT NULL, raw BLOB NOT NULL, PRIMARY KEY (repository, digest)
);
CREATE TABLE IF NOT EXISTS tag (
    repository TEXT, tag TEXT, digest TEXT NOT NULL, PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS referrer (
    repository TEXT, subject TEXT, digest TEXT, PRIMARY KEY (repository, subject, digest)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class StoredManifest:
    """An image manifest or index as it was pushed."""

    digest: Digest
    media_type: str
    raw: bytes


class Store:
    """The registry's contents. For one thread; every name, tag and digest was checked before it comes here."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self._folder = folder
        self._database = database

    def new_upload(self) -> Path:
        """Make an empty file for a blob on its way in."""
        handle, path = tempfile.mkstemp(dir=self._folder / "uploads")
        os.close(handle)
        return Path(path)

    def keep_blob(self, repository: str, digest: Digest, upload: Path) -> None:
        """Turn the file `upload`, whose content has this `digest`, into a blob of `repository`."""
        path = self._blob_path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        upload.replace(path)
        self._link_blob(repository, digest)

    def mount_blob(self, repository: str, digest: Digest, source: str) -> bool:
        """Give `repository` the blob that `source` has; False where it has none."""
        if self.blob(source, digest) is None:
            return False
        self._link_blob(repository, digest)
        return True

    def blob(self, repository: str, digest: Digest) -> Path | None:
        """The file of a blob of `repository`; None where the repository doesn't have it."""
        row = self._row("SELECT 1 FROM blob WHERE repository = ? AND digest = ?", repository, digest)
        path = self._blob_path(digest)
        return path if row and path.is_file() else None

    def keep_manifest(
        self, repository: str, manifest: StoredManifest, tag: str | None, subject: Digest | None = None
    ) -> None:
        """Store `manifest`, and let `tag` point at it. What the tag pointed at before stays.

        `subject` is the image manifest that it says it is about, which need not exist.
        """
        with self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO manifest VALUES (?, ?, ?, ?)",
                (repository, manifest.digest, manifest.media_type, manifest.raw),
            )
            if tag is not None:
                self._database.execute(
                    "INSERT OR REPLACE INTO tag VALUES (?, ?, ?)", (repository, tag, manifest.digest)
                )
            if subject is not None:
                self._database.execute(
                    "INSERT OR IGNORE INTO referrer VALUES (?, ?, ?)", (repository, subject, manifest.digest)
                )

    def manifest(self, repository: str, reference: str) -> StoredManifest | None:
        """The image manifest that a tag or a digest names; None where there is none."""
        row = self._row(
            "SELECT digest, media_type, raw FROM manifest WHERE repository = ? AND digest = coalesce("
            "(SELECT digest FROM tag WHERE repository = ? AND tag = ?), ?)",
            *(repository, repository, reference, reference),
        )
        return StoredManifest(*row) if row else None

    def referrers(self, repository: str, subject: Digest) -> list[StoredManifest]:
        """What is about the image manifest `subject`, sorted by digest."""
        rows = self._database.execute(
            "SELECT digest, media_type, raw FROM manifest JOIN referrer USING (repository, digest)"
            " WHERE repository = ? AND subject = ? ORDER BY digest",
            (repository, subject),
        )
        return [StoredManifest(*row) for row in rows]

    def repositories(self) -> list[str]:
        """Every repository that something was ever pushed to, sorted. No request of the API asks for them."""
        rows = self._database.execute("SELECT DISTINCT repository FROM manifest ORDER BY repository")
        return [repository for (repository,) in rows]

    def untagged(self, repository: str) -> list[StoredManifest]:
        """What no tag points at, those that are part of an index too; sorted by digest."""
        rows = self._database.execute(
            "SELECT digest, media_type, raw FROM manifest WHERE repository = ? AND digest NOT IN"
            " (SELECT digest FROM tag WHERE repository = ?) ORDER BY digest",
            (repository, repository),
        )
        return [StoredManifest(*row) for row in rows]

    def has_repository(self, repository: str) -> bool:
        """Whether anything was ever pushed to `repository`; blobs alone don't make one."""
        return self._row("SELECT 1 FROM manifest WHERE repository = ?", repository) is not None

    def tags(self, repository: str, after: str, limit: int) -> list[str]:
        """At most `limit` tags behind `after`, which need not exist; -1 is no limit, "" the start.

        In the spec's order, "lexical (i.e. case-insensitive alphanumeric)".
        """
        rows = self._database.execute(
            "SELECT tag FROM tag WHERE repository = ? AND (lower(tag), tag) > (lower(?), ?)"
            " ORDER BY lower(tag), tag LIMIT ?",
            (repository, after, after, limit),
        )
        return [tag for (tag,) in rows]

    def _blob_path(self, digest: Digest) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self._folder / "blobs" / algorithm / hexadecimal

    def _link_blob(self, repository: str, digest: Digest) -> None:
        with self._database:
            self._database.execute("INSERT OR IGNORE INTO blob VALUES (?, ?)", (repository, digest))

    def _row(self, query: str, *parameters: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._database.execute(query, parameters).fetchone()
        return row


@contextmanager
def open_store(folder: Path | None) -> Iterator[Store]:
    """Open the store in `folder`, made where it is missing; None is a temporary one, removed at the end.

    Raises MachineError where the folder can't be used, for example because
    another sandbox does.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="replsync-sandbox-") as temporary, open_store(Path(temporary)) as store:
            yield store
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(folder / "sandbox.db", timeout=0)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(folder, error) from error
    with closing(database):
        try:
            # The lock lasts until the end: a second sandbox would empty the first one's uploads.
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.executescript("BEGIN EXCLUSIVE;" + _SCHEMA + "COMMIT;")
            uploads = folder / "uploads"
            shutil.rmtree(uploads, ignore_errors=True)
            uploads.mkdir()
        except (OSError, sqlite3.Error) as error:
            raise _unusable(folder, error) from error
        yield Store(folder, database)


def _unusable(folder: Path, error: Exception) -> MachineError:
    return MachineError(
        f"sandbox: cannot keep data in {folder}: {error}",
        hint="choose another folder; two sandboxes cannot share one",
    )
