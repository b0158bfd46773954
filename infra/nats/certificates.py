"""Certificates for the servers where there is no authority: one that signs, and one for all nodes."""

import ipaddress
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_MAKE: Final = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_DAYS: Final = ("-days", "825")


def make_certificates(folder: Path, names: Sequence[str]) -> list[Path]:
    """Make ca.pem, server.pem and server.key, without what has signed them. Raises OSError and CalledProcessError."""
    paths = [folder / name for name in ("ca.pem", "server.pem", "server.key")]
    authority, certificate, key = map(str, paths)
    signing = str(folder / "ca.key")
    alternatives = "subjectAltName=" + ",".join(map(_name, names))
    constraints = ("-addext", "basicConstraints=critical,CA:FALSE")
    for subject, files in (
        ("/CN=Trading Telemetry", ("-keyout", signing, "-out", authority)),
        ("/CN=nats", ("-keyout", key, "-out", certificate, "-CA", authority, "-CAkey", signing, *constraints)),
    ):
        more = ("-addext", alternatives) if "-CA" in files else ()
        command = [*_MAKE, *_DAYS, "-subj", subject, *files, *more]
        subprocess.run(command, check=True, capture_output=True, umask=0o077)
    Path(signing).unlink()
    return paths


def _name(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"
