"""A certificate authority of the benchmark's own, and a name of this machine that clients don't take for it.

Clients speak http with 127.0.0.1 and localhost, or don't check certificates there: TLS needs another name.
"""

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.failing import BenchmarkError

_DAYS = "2"


@dataclass(frozen=True)
class Tls:
    """Files: the CA's certificate, alone in its folder; the server's certificate and key. `name` is the server's."""

    authority: Path
    certificate: Path
    key: Path
    name: str


def loopback_name() -> str | None:
    """A name of this machine, other than localhost, that leads to 127.0.0.0/8; None where it has none."""
    try:
        lines = Path("/etc/hosts").read_text().splitlines()
    except OSError:
        lines = []
    words = [line.partition("#")[0].split() for line in lines]
    names = [name for fields in words if fields and fields[0].startswith("127.") for name in fields[1:]]
    for name in [*names, socket.gethostname()]:
        if not name.startswith("localhost") and name == name.lower() and _leads_to_loopback(name):
            return name
    return None


def _leads_to_loopback(name: str) -> bool:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return all(str(address).startswith("127.") for address in found)


def make_tls(folder: Path, name: str) -> Tls:
    """Make the files in `folder` with openssl."""
    authority = folder / "authority"
    authority.mkdir(parents=True)
    tls = Tls(authority / "ca.crt", folder / "server.crt", folder / "server.key", name)
    ca_key, request, extensions = folder / "ca.key", folder / "server.csr", folder / "extensions"
    extensions.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", tls.authority, "-subj", "/CN=benchmark", "-days", _DAYS)
    _openssl("req", *curve, "-keyout", tls.key, "-out", request, "-subj", f"/CN={name}")
    signing = ("-CA", tls.authority, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions, "-days", _DAYS)
    _openssl("x509", "-req", "-in", request, "-out", tls.certificate, *signing)
    return tls


def _openssl(*args: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"openssl {args[0]} ended with {done.returncode}: {done.stderr[-500:]}")
