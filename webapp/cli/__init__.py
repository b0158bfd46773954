"""The commands ``flask --app webapp trades …``, for a running stack and its journal."""

from importlib import import_module
from typing import cast

import click
from flask import current_app
from flask.cli import with_appcontext

from common.errors import BadSettingError

_NAMES = ("replay", "simulate", "audit", "backup", "restore")


class _Trades(click.Group):
    """Imports a command when it is called: a web worker must not import an HTTP client before gevent patches ssl."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(_NAMES)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return cast("click.Command", getattr(import_module(f"webapp.cli.{name}"), name)) if name in _NAMES else None


trades_cli = _Trades("trades", help="Send trades to a running stack, audit it, back up and restore its journal.")


@click.command()
@with_appcontext
def doctor() -> None:
    """Check the installation, changing nothing; what is not set up is a note. Exits with 1 when something failed."""
    # Imported when it is called, as above.
    import_module("webapp.cli.doctor").run(current_app.config["SETTINGS"])


def show_to_command(error: BadSettingError) -> Exception:
    """Return what a command shows as one line; when no command runs, the error itself."""
    return error if click.get_current_context(silent=True) is None else click.ClickException(error.detail)
