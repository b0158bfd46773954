"""Which stack a command talks to, and with which token."""

from pathlib import Path

import click
from flask import current_app

from common.errors import BadSettingError
from common.links import find_reachable
from common.secret_files import read_secret
from common.settings import Settings, write_address

url_option = click.option("--url", help="The stack's address; by default the one in the settings.")

token_file_option = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="A file with the token to send, that only you may read; by default the one in the settings.",
)


def choose_url(url: str | None) -> str:
    """Return the address of the web process: ``url``, or the one in the settings."""
    settings: Settings = current_app.config["SETTINGS"]
    return url or f"http://{settings.write_webapp_address()}"


def choose_token(file: Path | None) -> str | None:
    """Read the token of the web process from ``file`` or TOKEN_FILE; None without a file. Raises ClickException."""
    settings: Settings = current_app.config["SETTINGS"]
    return _read(file, "TOKEN_FILE", settings.token_file)


def choose_sidecar_url(url: str | None) -> str:
    """Return the address of the sidecar: ``url``, or the one in the settings."""
    settings: Settings = current_app.config["SETTINGS"]
    return url or f"http://{write_address(find_reachable(settings.sidecar_http_host), settings.sidecar_http_port)}"


def choose_sidecar_token(file: Path | None) -> str | None:
    """Read the sidecar's token from ``file`` or SIDECAR_TOKEN_FILE; None without a file. Raises ClickException."""
    settings: Settings = current_app.config["SETTINGS"]
    return _read(file, "SIDECAR_TOKEN_FILE", settings.sidecar_token_file)


def _read(file: Path | None, setting: str, configured: Path | None) -> str | None:
    path = file or configured
    try:
        return None if path is None else read_secret("--token-file" if file else setting, path)
    except BadSettingError as error:
        raise click.ClickException(error.detail) from None
