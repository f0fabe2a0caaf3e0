"""Every error that replsync raises on purpose.

An error says what was attempted, on which side, on which object, and what the
user can do next (`hint`). Its class carries the exit code of the process, and
the code under which `replsync explain` tells more (files in `replsync/explanations`).
"""

from collections.abc import Sequence
from typing import ClassVar

_CODES_OF_STATUS = {400: "refused", 413: "cut-off", 429: "rate-limited", 504: "cut-off", 524: "cut-off"}


class ReplsyncError(Exception):
    """Something that the user can understand and act on.

    `message` is one sentence without a final full stop; `hint` is the next
    move, or None where there is none. Neither ever holds a secret. `code` says
    what kind of error it is, and stays the same from version to version.
    """

    exit_code: ClassVar[int] = 1
    code: str = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    @property
    def in_full(self) -> str:
        """The message and the next move in one sentence, for a reason in a plan."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(ReplsyncError):
    """The command line itself is wrong."""

    exit_code = 64
    code = "usage"


class InvalidInput(ReplsyncError):
    """The manifest, or another file that the user gave, is invalid."""

    exit_code = 3
    code = "invalid-input"


class SeveralInvalid(InvalidInput):
    """Several of the files that the user gave are invalid: `errors` has what is wrong with each."""

    def __init__(self, errors: Sequence[InvalidInput]) -> None:
        super().__init__("\n\n".join(error.in_full for error in errors))
        self.errors = tuple(errors)


class SignInError(ReplsyncError):
    """A registry, token server or credential helper refused to sign us in.

    `host` is the registry that it was for, empty where no registry was asked.
    """

    exit_code = 4
    code = "sign-in-refused"

    def __init__(self, message: str, *, hint: str | None = None, host: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host = host


class PermissionDenied(SignInError):
    """Signed in, or anonymous, and not allowed to do this."""

    code = "permission-denied"


class RegistryError(ReplsyncError):
    """A registry answered with something other than what was asked for.

    `status` is the HTTP status, `codes` the error codes in the body
    (distribution-spec, "Error Codes"); both are empty where there is no answer.
    Some statuses have a `code` of their own.
    """

    code = "registry-error"

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, codes: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.codes = codes
        if status in _CODES_OF_STATUS:
            self.code = _CODES_OF_STATUS[status]


class RegistryUnreachable(RegistryError):
    """No answer at all: refused, reset, timed out, unknown host, bad certificate."""

    code = "unreachable"


class HostUnreachable(RegistryUnreachable):
    """Not even a connection to the host: nothing else that is asked of it would be answered either."""

    code = "host-unreachable"


class CorruptBlob(RegistryError):
    """What came is not the blob that was asked for, by its digest or its size."""

    code = "corrupt-blob"


class NotFound(RegistryError):
    """The registry says that the object does not exist (404 and nothing else)."""

    code = "not-found"


class UntrustedConnection(RegistryError):
    """TLS failed, or the certificate isn't trusted."""

    code = "untrusted-connection"


class UnsupportedImage(ReplsyncError):
    """The image is of a kind that is never copied, or is not well-formed."""

    code = "unsupported-image"


class DockerError(ReplsyncError):
    """The Docker daemon or its command-line client failed."""

    code = "docker-failed"


class MachineError(ReplsyncError):
    """This machine refused: a file can't be written, a port is taken."""

    code = "machine-refused"


class NotApproved(ReplsyncError):
    """Whoever was asked did not say yes."""

    code = "not-approved"


class NoRoom(ReplsyncError):
    """A temporary folder can't be made, or is full."""

    code = "no-room"


class ChangedMeanwhile(ReplsyncError):
    """A tag is not in the state that the plan was made for."""

    code = "changed-meanwhile"


class StalePlan(ReplsyncError):
    """A saved plan that was changed, or that no longer fits what it was made for."""

    exit_code = 5
    code = "stale-plan"


class JournalError(ReplsyncError):
    """The journal can't be written, so that nothing else is."""

    code = "journal-failed"


class PartialFailure(ReplsyncError):
    """Some actions failed, the others are done."""

    exit_code = 6
    code = "partial-failure"


class BlockedPlan(ReplsyncError):
    """The plan has blocked actions, so nothing is written."""

    exit_code = 7
    code = "blocked-plan"
