"""``doctor``: checks an installation, changing nothing, and says for each thing that is wrong what to do."""

from typing import Final

import click

from common.settings import Settings
from webapp.cli.findings import Check
from webapp.cli.host_checks import (
    check_access,
    check_backups,
    check_disk,
    check_files,
    check_journal,
    check_replica,
    check_snapshot,
    check_versions,
)
from webapp.cli.relay_checks import check_relay
from webapp.cli.server_checks import check_grafana, check_prometheus, check_web
from webapp.cli.sidecar_checks import check_sidecar

CHECKS: Final[tuple[Check, ...]] = (
    check_versions,
    check_access,
    check_files,
    check_disk,
    check_journal,
    check_snapshot,
    check_backups,
    check_replica,
    check_web,
    check_sidecar,
    check_relay,
    check_prometheus,
    check_grafana,
)


def run(settings: Settings) -> None:
    """Print each finding. Raises SystemExit with 1 when something failed."""
    failed = 0
    for check in CHECKS:
        for each in check(settings):
            click.echo(f"{each.level:<5} {each.what:<15}  {each.found}")
            if each.todo:
                click.echo(f"{'':<5} {'':<15}  → {each.todo}")
            failed += each.level == "FAIL"
    click.echo(f"{failed} failed" if failed else "nothing failed")
    if failed:
        raise SystemExit(1)
