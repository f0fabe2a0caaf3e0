"""Answers: of errors, in the form that OCI and Docker share; and what is told of any, to whoever observes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """One request and its answer: the path as in the URL, and the bytes of the request's body that came in."""

    method: str
    path: str
    status: int
    received: int


Observe = Callable[[Answered], None]


class Refusal(Exception):
    """An answer other than success (distribution-spec, "Error Codes").

    `code` is one of the spec's, or of Docker's where the spec has none. Each of
    `details` becomes an error of its own; none at all is one error without.
    """

    def __init__(
        self, status: int, code: str, message: str, *details: object, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details or (None,)
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, object]:
        """The JSON object to answer with."""
        return {"errors": [{"code": self.code, "message": self.message, "detail": one} for one in self.details]}
