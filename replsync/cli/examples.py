"""What the help of each command opens with: examples to copy. A test runs them through the command line's parser."""

EXAMPLES = {
    "init": (
        "replsync init                          # asks, at a terminal",
        "replsync init --app myapp --image worker --source ghcr.io/acme/worker",
    ),
    "import": (
        "replsync import --app myapp worker api # every tag of two images",
        "replsync import worker                 # into a manifest that is there",
    ),
    "fmt": (
        "replsync fmt                           # write it in the one style",
        "replsync fmt --check                   # for CI: is it?",
    ),
    "login": (
        "replsync login                         # asks which way, and for the secret",
        "replsync login --username ci --password-stdin < token.txt",
    ),
    "logout": ("replsync logout", "replsync logout registry.replicated.com"),
    "doctor": (
        "replsync doctor                        # all that a plan and an apply need",
        "replsync doctor ghcr.io                # one registry",
        "replsync doctor --write                # may this account push?",
    ),
    "validate": ("replsync validate", "replsync validate -f manifests/"),
    "plan": (
        "replsync plan",
        "replsync plan --out plan.json          # keep it, for review and for apply",
        "replsync plan --target 'worker:1.*'    # a part of it",
    ),
    "show": ("replsync show plan.json", "replsync show plan.json --format html > plan.html"),
    "apply": (
        "replsync apply                         # plan, ask, carry out",
        "replsync apply plan.json               # exactly what was saved, or nothing",
    ),
    "retire": ("replsync retire worker:1.9.3 --reason 'CVE-2026-1234, use 1.10'",),
    "restore": ("replsync restore worker:1.9.3",),
    "rollback": ("replsync rollback .replsync/journal/20261123T141503Z-5c2ab1.jsonl",),
    "history": ("replsync history worker:1.9.3",),
    "lock": (
        "replsync lock                          # write down what is new",
        "replsync lock --check                  # has a source moved?",
        "replsync lock --upgrade 'worker:*'     # take what has moved",
    ),
    "sandbox": (
        "replsync sandbox",
        "replsync sandbox --seed                # with an example application in it",
        "replsync sandbox --like-replicated     # and refuse what the real one does",
    ),
    "schema": ("replsync schema > replicated-images.schema.json", "replsync schema plan"),
    "completion": (
        "source <(replsync completion bash)     # in ~/.bashrc",
        "source <(replsync completion zsh)      # in ~/.zshrc, behind compinit",
        "replsync completion fish | source      # in ~/.config/fish/config.fish",
    ),
    "explain": (
        "replsync explain stale-plan            # as `more:` below an error says",
        "replsync explain                       # all there are",
    ),
}
"""By the command's name: lines to type."""

FIRST = (
    "replsync init                          # a first manifest, or",
    "replsync import --app myapp worker api # one of what the registry has",
    "replsync login                         # once",
    "replsync plan                          # what would change, and why",
    "replsync apply                         # make it so, after a question",
    "replsync COMMAND --help                # each has examples of its own",
)
"""For the help of replsync itself."""


def with_examples(text: str, examples: tuple[str, ...]) -> str:
    """Return a help text with examples behind its first paragraph."""
    first, _, others = text.partition("\n\n")
    # A backspace is what keeps a paragraph's lines as they are.
    shown = "\n".join(("\b", "Examples:", *(f"  {line}" for line in examples)))
    return "\n\n".join(part for part in (first, shown, others) if part)
