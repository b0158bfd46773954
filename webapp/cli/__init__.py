"""Commands for a running stack and its journal: ``flask --app webapp trades …``."""

from importlib import import_module
from typing import cast

import click

_NAMES = ("replay", "simulate", "audit", "backup", "restore")


class _Trades(click.Group):
    """Loads a command when it is called: a web worker must not import an HTTP client before gevent has patched ssl."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_NAMES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return cast("click.Command", getattr(import_module(f"webapp.cli.{name}"), name)) if name in _NAMES else None


trades_cli = _Trades("trades", help="Send trades to a running stack, audit it, and keep its journal.")
