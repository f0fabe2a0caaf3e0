"""replsync keeps the images of a Replicated registry as a file in git says."""

__version__ = "0.1.0"
