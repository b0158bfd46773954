"""The real nginx for one test, with the files of ``infra/nginx/`` as they are, but for ports and places."""

import contextlib
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter

from tests.conftest import ROOT, require_program
from tests.system.stack import free_ports
from tests.waiting import wait_for

# As the file that Debian's package installs, reduced to what these files need.
_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include trading/{name}.conf;
}}
"""


class Nginx:
    """Serves the web process at ``port`` over TLS, under the name in the file, which clients resolve to loopback."""

    def __init__(self, folder: Path, web_port: str, name: str = "trading", **changes: str) -> None:
        """Take one of the files; ``changes`` are texts of all files and what is written instead."""
        self.folder = folder / "nginx"
        shutil.copytree(ROOT / "infra" / "nginx", self.folder / "trading")
        http, https = free_ports(2)
        own = {
            r"server 127\.0\.0\.1:8000;": f"server 127.0.0.1:{web_port};",
            r"listen 80;": f"listen 127.0.0.1:{http};",
            r"listen 443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
            r"listen \[::\].*;": "",
            "/var/log/nginx": str(self.folder),
        }
        for path in (self.folder / "trading").glob("*.conf"):
            text = path.read_text()
            for old, new in {**own, **changes}.items():
                text = re.sub(old, new, text)
            path.write_text(text)
        (host,) = set(re.findall(r"server_name (\S+);", (self.folder / "trading" / f"{name}.conf").read_text()))
        self.host, self.port, self.http_port = host, https, http
        self.url = f"https://{host}:{https}"
        (self.folder / "nginx.conf").write_text(_MAIN.format(folder=self.folder, name=name))
        self._make_certificate(host)
        self._command = [require_program("nginx"), "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]

    def _make_certificate(self, host: str) -> None:
        (self.folder / "tls").mkdir()
        certificate, key = self.folder / "tls" / "trading.crt", self.folder / "tls" / "trading.key"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        name = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
        command = [require_program("openssl"), "req", "-x509", *curve, *name, "-keyout", str(key), "-out"]
        subprocess.run([*command, str(certificate)], capture_output=True, check=True, timeout=30)

    def __enter__(self) -> Self:
        # nginx opens its first error log before it has read where the log is to be.
        self._process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        wait_for(self._listens, "nginx listens", 20)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def reload(self) -> None:
        """Replace the workers of nginx; those that are replaced finish what they have begun."""
        subprocess.run([*self._command, "-s", "reload"], stderr=subprocess.DEVNULL, check=True, timeout=30)

    def write_curl(self, path: str) -> list[str]:
        """Write a command that gets a path over HTTP/2."""
        resolve = ["--resolve", f"{self.host}:{self.port}:127.0.0.1"]
        secure = ["--http2", "--cacert", str(self.folder / "tls" / "trading.crt")]
        return [require_program("curl"), "--silent", "--no-buffer", *resolve, *secure, f"{self.url}{path}"]

    def _listens(self) -> bool:
        assert self._process.poll() is None, self.read_logs()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=60):
            return True
        return False

    def read_logs(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def connect(self, source: str = "127.0.0.1") -> requests.Session:
        """Return a client that resolves the name to loopback, and connects from ``source``."""
        session = requests.Session()
        session.mount("https://", _Resolving(self.host, source))
        session.verify = str(self.folder / "tls" / "trading.crt")
        session.trust_env = False
        return session


class _Resolving(HTTPAdapter):
    """Connects to loopback whatever the name is, which TLS and the request keep."""

    def __init__(self, host: str, source: str) -> None:
        self._host = host
        self._source = source
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
        own = {"source_address": (self._source, 0), "server_hostname": self._host, "assert_hostname": self._host}
        super().init_poolmanager(*arguments, **(named | own))

    def send(self, request: requests.PreparedRequest, *arguments: Any, **named: Any) -> requests.Response:  # noqa: ANN401 - passed on
        assert request.url
        request.headers["Host"] = request.url.split("/")[2]
        request.url = request.url.replace(f"//{self._host}:", "//127.0.0.1:", 1)
        return super().send(request, *arguments, **named)
