"""Foreign text made fit for a terminal. Light: errors are printed with it before anything else is loaded."""


def clean(text: str) -> str:
    """Return `text` with control characters made harmless: some of it comes from registries."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
