"""The web process: HTTP in, events out. Imports ``common``, never ``sidecar``."""

from pathlib import Path

from flask import Flask

from common.errors import BadSettingError
from common.settings import Settings
from webapp import clients, footer
from webapp.cli import doctor, show_to_command, trades_cli
from webapp.cli.tokens import tokens_cli
from webapp.cli.users import users_cli
from webapp.middleware import (
    access_log,
    auth,
    compression,
    cors,
    hosts,
    hub,
    json_pages,
    problems,
    rate_limits,
    security_headers,
)
from webapp.middleware.sessions import CookieSessions
from webapp.routes import (
    blotter,
    desk,
    docs,
    feed,
    health,
    hooks,
    market,
    pipeline,
    plain_trade,
    positions,
    sign_in,
    trades,
)

_ROOT = Path(__file__).resolve().parent.parent
_MAX_BODY = 64 * 1024


def create_app(settings: Settings | None = None) -> Flask:
    """Create the web application from ``settings``, by default those of the environment.

    Opens no file and no socket: each process makes its services after the fork (``webapp/services.py``).
    Raises BadSettingError.
    """
    try:
        settings = settings or Settings.from_env()
        secret_key = settings.require_secret_key()
    except BadSettingError as error:
        raise show_to_command(error) from None
    app = Flask(__name__, template_folder=str(_ROOT / "templates"), static_folder=str(_ROOT / "static"))
    # No function here is asynchronous, and Flask would look for that in each one at each request.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign] # as Flask documents it
    app.config.from_mapping(
        SETTINGS=settings,
        SECRET_KEY=secret_key,
        MAX_CONTENT_LENGTH=_MAX_BODY,
        SESSION_COOKIE_NAME="trading_session",
        SESSION_COOKIE_SAMESITE="Lax",
        # A desk keeps the page open all day, so the CSRF token is valid as long as its session.
        WTF_CSRF_TIME_LIMIT=None,
    )
    # Lines that have only a tag of the template add nothing to the page.
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.session_interface = CookieSessions()
    app.json.sort_keys = False  # type: ignore[attr-defined]

    plain_trade.init_app(app)
    clients.init_app(app)
    # Before what may answer a request itself: each answer has the request's id and is logged.
    access_log.init_app(app)
    hosts.init_app(app)
    auth.init_app(app)
    rate_limits.init_app(app)
    hub.init_app(app)
    security_headers.init_app(app)
    compression.init_app(app)
    cors.init_app(app)
    problems.init_app(app)
    json_pages.init_app(app)
    footer.init_app(app)

    app.register_blueprint(desk.bp)
    app.register_blueprint(trades.bp)
    app.register_blueprint(hooks.bp)
    app.register_blueprint(sign_in.bp)
    app.register_blueprint(feed.bp)
    app.register_blueprint(market.bp)
    app.register_blueprint(pipeline.bp)
    app.register_blueprint(positions.bp)
    app.register_blueprint(blotter.bp)
    app.register_blueprint(health.bp)
    app.register_blueprint(docs.bp)
    app.cli.add_command(trades_cli)
    app.cli.add_command(tokens_cli)
    app.cli.add_command(users_cli)
    app.cli.add_command(doctor)
    return app
