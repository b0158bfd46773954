"""Writes docs/runbooks.md as a page that Prometheus serves, so that the link in an alert opens."""

import html
import re
from pathlib import Path
from typing import Final

from common.settings import Settings

SOURCE: Final = Path(__file__).resolve().parent.parent / "docs" / "runbooks.md"
PAGE: Final = "user/runbooks.html"
"""Where Prometheus serves it: files of --web.user-assets are below /user."""

_HEAD: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Runbooks</title>
<style>
body { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }
pre { font: inherit; white-space: pre-wrap }
</style>
"""


def find_url(settings: Settings, prometheus_port: int) -> str:
    """Return where operators read the runbooks: ``RUNBOOK_URL``, or the page that Prometheus serves."""
    if settings.runbook_url:
        return settings.runbook_url
    return f"{(settings.prometheus_url or f'http://127.0.0.1:{prometheus_port}').rstrip('/')}/{PAGE}"


def write_page(folder: Path) -> None:
    """Write the page into the folder of Prometheus's user assets."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / Path(PAGE).name).write_text(_HEAD + "".join(map(_write_section, _split(SOURCE.read_text()))))


def _split(text: str) -> list[str]:
    return re.split(r"^(?=#+ )", text, flags=re.MULTILINE)


def _write_section(section: str) -> str:
    """Write a heading with its anchor, and its text as it is; links to other sections work."""
    title, _, body = section.partition("\n")
    text = html.escape(body.strip())
    text = re.sub(r"\[([^\]]+)\]\((#[a-z-]+)\)", r'<a href="\2">\1</a>', text)
    name = title.lstrip("# ")
    level = 1 if title.startswith("# ") else 2
    anchor = f' id="{html.escape(name)}"' if level > 1 else ""
    return f"<h{level}{anchor}>{html.escape(name)}</h{level}>\n<pre>{text}</pre>\n" if title else ""
