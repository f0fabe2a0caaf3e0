"""A local OCI registry that behaves as the Replicated registry does, for trying things out and for tests."""

from replsync.sandbox.answers import Answered, Observe
from replsync.sandbox.limits import Limits
from replsync.sandbox.server import Sandbox, SandboxOptions, serve, serve_until_stopped

__all__ = ["Answered", "Limits", "Observe", "Sandbox", "SandboxOptions", "serve", "serve_until_stopped"]
