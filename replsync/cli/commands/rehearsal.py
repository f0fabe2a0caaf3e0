"""The command that serves a registry to rehearse at."""

from pathlib import Path
from typing import Annotated

import typer

from replsync.cli import options
from replsync.cli.app import app
from replsync.errors import UsageError

NO_PASSWORDS: list[str] = []


def _passwords(given: list[str]) -> list[str]:
    if not all(given):
        raise typer.BadParameter("a password has at least one character")
    return given


def _size(text: str) -> int:
    from replsync.manifest.byte_size import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no size: write one such as 30MB or 1.9GB") from error


Port = Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")]
Data = Annotated[Path | None, typer.Option(help="Keep the images in this folder. Without it they are gone at the end.")]
Seed = Annotated[
    bool, typer.Option("--seed", help="Start with an example application in it, where nothing is in it yet.")
]
TokenSeconds = Annotated[
    float,
    typer.Option(min=1, metavar="SECONDS", help="How long a token holds: a short time makes clients sign in anew."),
]
PullOnlyPassword = Annotated[
    list[str],
    typer.Option(
        metavar="PASSWORD",
        callback=_passwords,
        help="Also take this one, of a customer's licence: pushes are answered 403.",
    ),
]
RefuseAttestations = Annotated[
    bool, typer.Option("--refuse-attestations", help="Answer 400 to provenance and SBOMs, as BuildKit pushes them.")
]
CutOffSize = Annotated[
    int | None,
    typer.Option(parser=_size, metavar="SIZE", help="Answer 524 to an upload request of more bytes: 30MB, 2GB."),
]
CutOffTime = Annotated[
    float | None, typer.Option(min=0.1, metavar="SECONDS", help="Answer 524 to a request that takes longer.")
]
CutOffLands = Annotated[
    bool, typer.Option("--cut-off-lands", help="Carry out what is cut off all the same: 524, and yet it is there.")
]
RateLimit = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Answer 429 to more than N requests a second, with Retry-After.")
]
PushWithdrawn = Annotated[
    bool, typer.Option("--push-withdrawn", help="Answer 403 to every push, as where the right to push was withdrawn.")
]
NoReferrers = Annotated[
    bool, typer.Option("--no-referrers", help="Have no Referrers API: 404, and signatures go to tags.")
]
LikeReplicated = Annotated[
    bool, typer.Option("--like-replicated", help="Short for --refuse-attestations --cut-off-size 2GB --no-referrers.")
]


@app.command()
def sandbox(
    port: Port = 5000,
    data: Data = None,
    seed: Seed = False,
    like_replicated: LikeReplicated = False,
    refuse_attestations: RefuseAttestations = False,
    cut_off_size: CutOffSize = None,
    cut_off_time: CutOffTime = None,
    cut_off_lands: CutOffLands = False,
    rate_limit: RateLimit = None,
    pull_only_password: PullOnlyPassword = NO_PASSWORDS,
    push_withdrawn: PushWithdrawn = False,
    token_seconds: TokenSeconds = 300,
    no_referrers: NoReferrers = False,
    verbose: options.Verbose = False,
) -> None:
    """Serve a registry like Replicated's on this machine.

    It wants a sign-in and deletes nothing. To rehearse what Replicated's is known
    to refuse, add --like-replicated; each limit is an option of its own, too.
    """
    from replsync.cli.sandbox_server import HOST, run
    from replsync.sandbox.limits import NO_LIMITS, REPLICATED, Limits
    from replsync.sandbox.server import SandboxOptions

    if cut_off_lands and not (cut_off_size or cut_off_time or like_replicated):
        raise UsageError("sandbox: --cut-off-lands cuts nothing off", hint="add --cut-off-size or --cut-off-time")
    like = REPLICATED if like_replicated else NO_LIMITS
    limits = Limits(
        refuse_attestations or like.refuse_attestations,
        cut_off_size or like.cut_off_size,
        cut_off_time,
        cut_off_lands,
        rate_limit,
        no_referrers or like.no_referrers,
    )
    run(
        SandboxOptions(
            data=data,
            seed=seed,
            host=HOST,
            port=port,
            token_seconds=token_seconds,
            pull_only_passwords=tuple(pull_only_password),
            push_withdrawn=push_withdrawn,
            limits=limits,
        ),
        verbose,
    )
