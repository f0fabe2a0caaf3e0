"""The commands about the way to a registry: signing in and out, and what stands in the way."""

from enum import StrEnum
from typing import Annotated

import typer

from replsync.cli import options
from replsync.cli.app import app
from replsync.errors import UsageError


class Way(StrEnum):
    """How one signs in to Replicated's registry."""

    USER_TOKEN = "user-token"  # noqa: S105 - a way's name
    SERVICE_ACCOUNT = "service-account"
    PASSWORD = "password"  # noqa: S105 - a way's name


def _hosts(given: list[str]) -> list[str]:
    from replsync.oci.reference import is_host

    for host in given:
        if not is_host(host):
            raise typer.BadParameter(
                f"{host.rpartition('@')[2][:150]!r} is not a registry's host: write it as HOST or HOST:PORT"
            )
    return given


def _refuse_password(given: str | None) -> None:
    if given is not None:
        raise UsageError(
            "login: no password on the command line: it would stand in the shell's history and in lists of processes",
            hint="leave it out to be asked for it, or pipe it in: --password-stdin < FILE",
        )


Host = Annotated[
    str | None,
    typer.Argument(
        metavar="HOST", help="The registry; else the manifest's, or registry.replicated.com.", show_default=False
    ),
]
As = Annotated[
    Way | None,
    typer.Option(
        "--as",
        help="What goes with the user name: a user API token (with your email), a service account's token (with any "
        "name), or the password of the Vendor Portal (with your email).",
    ),
]
Username = Annotated[str | None, typer.Option("--username", "-u", metavar="NAME", help="The user name, or email.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the token or password from stdin.")]
Password = Annotated[
    str | None,
    typer.Option("--password", "-p", hidden=True, callback=_refuse_password, help="Refused, with the reason."),
]


Hosts = Annotated[
    list[str],
    typer.Argument(
        metavar="HOST...", callback=_hosts, help="The registries; else the manifest's, those of sources included."
    ),
]
Write = Annotated[
    bool, typer.Option("--write", help="Also open an upload at the target, and cancel it. Else nothing is written.")
]
Patience = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for each check.")]
NO_NAMES: list[str] = []


@app.command()
def login(
    host: Host = None,
    way: As = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password: Password = None,  # noqa: ARG001 - refused where it is read
    file: options.File = options.DEFAULT_FILE,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT,
    plain_http: options.PlainHttp = options.NO_HOSTS,
) -> None:
    """Sign in, and keep the credential where Docker does.

    It asks for what no option says. The registry is asked first: a credential that it refuses is not kept.
    """
    from replsync.cli.signing_in import sign_in

    sign_in(host, way, username, password_stdin, options.registry(file, None, timeout, plain_http))


@app.command()
def logout(host: Host = None, file: options.File = options.DEFAULT_FILE) -> None:
    """Forget the credential for a registry."""
    from replsync.cli.signing_in import sign_out

    sign_out(host, file)


@app.command()
def doctor(
    hosts: Hosts = NO_NAMES,
    file: options.File = options.DEFAULT_FILE,
    write: Write = False,
    format: options.PlainFormat = options.PlainFormatName.TEXT,  # noqa: A002 - the option's name
    timeout: Patience = 10.0,
    plain_http: options.PlainHttp = options.NO_HOSTS,
) -> None:
    """Find out what stands between this machine and a push.

    Each line is ok, or `!!` or `fail` with a next move, or `--` for what doesn't apply. No secret is in it.
    """
    from replsync.cli.examining import examine

    examine(hosts, options.registry(file, None, timeout, plain_http), write, format)
