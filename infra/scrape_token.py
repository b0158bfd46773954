"""The sidecar's token: made for Prometheus in a container, written into .env, and copied to where Prometheus reads it.

The sidecar's own file is readable by its user only, but Prometheus in the container is another user. Its copy is
readable by everyone, in a folder that only the user of this checkout can enter; the engine mounts the file itself.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from common.hosts import is_loopback
from common.private_files import create
from common.setting_readers import READERS
from common.settings import Settings

TOKEN_FILE: Final = Path("var/sidecar.token")
COPY: Final = Path("var/prometheus/private/sidecar.token")
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - for a container, and with a token


def find_missing(settings: Settings, *, in_container: bool, platform: str = sys.platform) -> dict[str, str]:
    """Return the settings by which Prometheus, perhaps in a container, and no other client can read the sidecar."""
    missing = {}
    is_open = is_loopback(settings.sidecar_http_host) or settings.auth == "off"
    if settings.sidecar_token_file is None and (in_container or not is_open):
        missing["SIDECAR_TOKEN_FILE"] = str(TOKEN_FILE)
    if in_container and platform == "linux" and is_loopback(settings.sidecar_http_host):
        # Elsewhere Docker's own machine reaches loopback of the host.
        missing["SIDECAR_HTTP_HOST"] = EVERYWHERE
    return missing


def provide_token(settings: Settings, root: Path, *, in_container: bool) -> tuple[Settings, list[str]]:
    """Make the token, its settings and Prometheus's copy where they are missing; return the settings, and what was set.

    Raises OSError, and BadSettingError when a file that is there cannot be used.
    """
    missing = find_missing(settings, in_container=in_container)
    if "SIDECAR_TOKEN_FILE" in missing and not (root / TOKEN_FILE).exists():
        (root / TOKEN_FILE).parent.mkdir(exist_ok=True)
        with os.fdopen(create(root / TOKEN_FILE), "w") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
    if missing:
        _write_settings(root / ".env", missing)
        settings = replace(settings, **{name.lower(): READERS[name.lower()][0](text) for name, text in missing.items()})
    _copy(settings.require_sidecar_token(), root / COPY)
    return settings, [f'{name}="{value}"' for name, value in missing.items()]


def _copy(token: str | None, path: Path) -> None:
    """Write the token where Prometheus reads it; for an open sidecar an empty file, since Prometheus needs one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    # In place: a container keeps the file that it was started with.
    with path.open("w") as file:
        file.write(token or "")
    path.chmod(0o644)


def _write_settings(env_file: Path, values: Mapping[str, str]) -> None:
    text = env_file.read_text() if env_file.exists() else ""
    for name, value in values.items():
        line, found = f'{name}="{value}"', rf"^{name}=.*$"
        # The last one counts; the others would only confuse.
        if re.search(found, text, re.MULTILINE):
            text = re.sub(found, line, text, flags=re.MULTILINE)
        else:
            text = f"{text.rstrip()}\n\n# Written by `make infra-up`.\n{line}\n"
    draft = env_file.with_name(".env.new")
    with os.fdopen(create(draft), "w") as file:
        file.write(text)
    draft.replace(env_file.resolve())
