"""Every command in the docs runs as it is written, in a clean shell."""

import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, require_program
from tests.system.checkout import Checkout
from tests.system.stack import free_ports

DOCS = [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").glob("*.md"))]

INLINE = re.compile(
    r"`((?:make|\.venv/bin/[^\s`…<]+|curl|nohup|honcho|flask --app|docker|python3?|promtool)(?: [^`…<]+)?)`"
)

STARTS = [
    "make apps-up",
    "make apps-dev",
    ".venv/bin/honcho start",
    ".venv/bin/honcho -e other.env start",
    "nohup make apps-up > stack.log 2>&1 &",
]
"""Each of these starts the whole stack, until `make apps-down`."""

PARTS = {".venv/bin/honcho start web": "web", ".venv/bin/honcho start sidecar": "sidecar"}

# Run in this order, beside a running stack; the text is in what each prints.
RUNS = {
    "make": "apps-up",
    "make env-setup": "",
    "curl http://127.0.0.1:8000/trade -H 'Content-Type: application/json' -d "
    """'{"symbol": "BTCUSDT", "side": "buy", "price": "64210.50", "qty": 0.250, "source": "grid-bot"}'""": '"seq":1,',
    "curl -i http://127.0.0.1:8000/trade -H 'Content-Type: application/json' -H 'X-Request-ID: desk-7' -d "
    """'{"symbol":"ETHUSDT","side":"SELL","price":"1650.10","qty":"2"}'""": "201 CREATED",
    "curl http://127.0.0.1:8000/trade -H 'Content-Type: application/json' -H 'Idempotency-Key: \"order-4711\"' -d "
    """'{"symbol":"ETHUSDT","side":"SELL","price":"1650.10","qty":"2"}'""": '"seq":3,',
    "curl http://127.0.0.1:8000/trades -H 'Content-Type: application/x-ndjson' "
    "--data-binary @trades.ndjson": '"accepted":2',
    "curl 'http://127.0.0.1:8000/trades?after=0&limit=1'": '"next":1',
    "curl -s http://127.0.0.1:8001/metrics | grep BTCUSDT": 'trading_trades_total{side="BUY",symbol="BTCUSDT"} 1.0',
    "curl http://127.0.0.1:8000/trade --fail-with-body --max-time 10 --retry 5 --retry-connrefused "
    "-H 'Content-Type: application/json' -H 'Idempotency-Key: \"order-84213\"' "
    """-d '{"symbol": "BTCUSDT", "side": "buy", "price": "64210.50", "qty": "0.25", "source": "shell"}'""": '"seq":6,',
    "curl -s localhost:8000/readyz": "",
    "curl -s localhost:8001/readyz": "",
    "curl -s localhost:8001/healthz": "alive",
    "make demo": "200",
    ".venv/bin/flask --app webapp trades simulate --rate 50 --count 200 --seed 7 --symbols BTCUSDT,DOGEUSDT": "200",
    ".venv/bin/flask --app webapp trades replay trades.csv --speed 10": "1",
    ".venv/bin/flask --app webapp trades replay fills.csv --dry-run": "1 would be sent",
    ".venv/bin/flask --app webapp trades replay fills.csv --rejects rejected.csv": "accepted 1",
    ".venv/bin/flask --app webapp trades replay fills.csv --map ts=Time,price=Fill_Price,qty=Size,side=B/S "
    "--symbol ES1! --time-zone America/New_York": "ES1!",
    ".venv/bin/flask --app webapp trades audit": "the balance closes",
    ".venv/bin/honcho run .venv/bin/flask --app webapp doctor": "it accepts trades at",
    ".venv/bin/flask --app webapp trades backup copy.db": "copy.db",
    ".venv/bin/flask --app webapp trades backup before-upgrade.db": "before-upgrade.db",
    'grep -F \'"source": "grid-bot"\' stack.log': "grid-bot",
    # Of the runbooks: on a stack that is well they show who listens, and the lines that have to be there.
    "ss -ltnp 'sport = :8001'": "LISTEN",
    "ss -ltnp 'sport = :8000'": "LISTEN",
    "ss -ltnp 'sport = :8002'": "LISTEN",
    "ss -ltnp 'sport = :5555'": "LISTEN",
    "ss -tnp 'sport = :5555 or dport = :5555'": "ESTAB",
    "ps -o pid=,stat=,args= -p \"$(ss -Hltnp 'sport = :8001' | grep -oP 'pid=\\K\\d+' | paste -sd,)\"": "-m sidecar",
    "ps -o pid=,stat=,args= -p \"$(ss -Hltnp 'sport = :8000' | grep -oP 'pid=\\K\\d+' | paste -sd,)\"": "gunicorn",
    "ps -o pid=,stat=,pcpu=,args= -p \"$(ss -Hltnp 'sport = :8002' | grep -oP 'pid=\\K\\d+' | paste -sd,)\"": "relay",
    "top -bn2 -d1 -p \"$(ss -Hltnp 'sport = :8001' | grep -oP 'pid=\\K\\d+' | paste -sd,)\" | tail -1": "python",
    "curl -s localhost:8002/readyz": '"status": ',
    "curl -s localhost:8002/metrics | grep -E '^relay_(last_seq|lag_seconds)'": 'relay_last_seq{direction="pull"',
    'grep -F \'"service": "relay"\' stack.log | tail -3': "relay is running",
    'grep -F \'"reason": "pruned"\' stack.log | tail -1': "",
    'grep -F \'"reason": "conflict"\' stack.log | tail -1': "",
    'grep -E \'sidecar.1 stopped|"service": "sidecar"|cannot (bind|start)\' stack.log | tail -3': "sidecar is counting",
    'grep -E \'web.1 stopped|"logger": "gunicorn.error"|cannot (bind|start)\' stack.log | tail -5': "Booting worker",
    'grep -F \'"logger": "gunicorn.error"\' stack.log | tail -5': "Booting worker",
    'grep -F \'"message": "journal cannot be read"\' stack.log | tail -1': "",
    'grep -E \'"message": "(hint lost|hints cannot be received|message rejected)"\' stack.log | tail -3': "",
    'grep -F \'"message": "message rejected"\' stack.log | tail -3': "",
    'grep -F \'"message": "snapshot failed"\' stack.log | tail -1': "",
    'grep -F \'"message": "symbol limit exceeded"\' stack.log | tail -1': "",
    "grep -E '\"status\": 5[0-9]{2}' stack.log | tail -3": "",
    'grep -E \'"message": "(journal failed|request failed|commit failed)"\' stack.log | tail -1': "",
    "grep -F grid-bot stack.log | tail -5": "grid-bot",
    "ls -l var": "journal.db",
    "ls -ld var": "drwx",
    "df -h var": "%",
    "du -xah . | sort -h | tail": "",
    "fuser -v var/journal.db": "",
    "uptime": "load average",
    "dmesg | grep -i 'out of memory' | tail -3": "",
    # From here on the stack is locked.
    ".venv/bin/flask --app webapp tokens create grid-bot --scope trade:write --expires 90d > grid-bot.token": "",
    "chmod 600 grid-bot.token": "",
    ".venv/bin/flask --app webapp tokens create tradingview --scope hook > hook.token": "",
    # It takes longer than the workers take to know of the tokens.
    ".venv/bin/flask --app webapp tokens list": "grid-bot",
    'curl http://127.0.0.1:8000/trade -H "Authorization: Bearer $(cat grid-bot.token)" '
    "-H 'Content-Type: application/json' -d "
    """'{"symbol": "BTCUSDT", "side": "buy", "price": "64210.50", "qty": "0.25"}'""": '"source":"grid-bot"',
    'curl "http://127.0.0.1:8000/hooks/$(cat hook.token)" '
    """-d '{"ticker": "BTCUSDT", "action": "buy", "contracts": 1, "price": 64210.5}'""": '"source":"tradingview"',
    ".venv/bin/flask --app webapp tokens rotate grid-bot > grid-bot.token": "",
    ".venv/bin/flask --app webapp tokens revoke grid-bot": "",
    'grep -E \'"method": "POST".*"reason"\' stack.log | tail -5': "",
    "grep -E '\"status\": (401|403|429)' stack.log | tail -3": "",
    ".venv/bin/python -m infra.grafana.dashboard": "",
    ".venv/bin/ruff check --fix . && .venv/bin/ruff format .": "",
    ".venv/bin/python -m infra.apps down": "The stack is stopped.",
    "make apps-down": "No stack is running.",
    "mkdir old && mv var/journal.db* old/": "",
    ".venv/bin/flask --app webapp trades restore copy.db": "copy.db",
}

_SUITE = "it is this suite, or contains it"
_LONG = "it takes minutes; its modules are tested or run by hand"
_REGISTRY = "it changes the lock or the environment, from the registries"
_INFRA = "it starts programs that may be running here already; tests/infra and test_prometheus.py start them"
_ENGINE = "it needs a container engine"
_USERS = "it asks for a password, or needs a user; tests/webapp/cli/test_users.py runs it"

_STAGE = "test_stage.py runs it"
_IMAGE = "test_image.py does this with podman, and builds with buildah"
_UNITS = "it changes a host; test_deploy.py runs it on a copy of the host's files"

_CONTAINERS = "it is about the containers that docs/deploy.md starts"
_LITESTREAM = "Litestream is a program of its own; test_drill.py runs it"

NOT_RUN = {
    "docker logs --since 1h web > stack.log 2>&1": _CONTAINERS,
    "docker exec web flask --app webapp doctor": _CONTAINERS,
    "docker restart web sidecar": _CONTAINERS,
    "runuser -u trading -- env $(systemctl show -P Environment trading-telemetry-sidecar) "
    "$(cat /etc/trading-telemetry/settings) SECRET_KEY=not-needed-by-doctor "
    ".venv/bin/flask --app webapp doctor": "it needs the units of a host; test_deploy.py has their environment",
    "systemctl list-timers 'trading-telemetry*'": _UNITS,
    "journalctl -u trading-telemetry-backup -n 20": _UNITS,
    "pgrep -af 'litestream replicate'": _LITESTREAM,
    "grep -E 'level=(WARN|ERROR)' litestream.log | tail -3": _LITESTREAM,
    "make release": "it needs a tagged commit; tests/infra/test_release.py and the hosted workflow run it",
    ".venv/bin/flask --app webapp users create ann --role trader": _USERS,
    ".venv/bin/flask --app webapp users list": _USERS,
    ".venv/bin/flask --app webapp users password ann": _USERS,
    ".venv/bin/flask --app webapp users remove ann": _USERS,
    "make test": _SUITE,
    "make check": _SUITE,
    ".venv/bin/pytest tests/sidecar -x": _SUITE,
    "make lint": "the gate runs it",
    ".venv/bin/mypy": "the gate runs it",
    "make faults": _LONG,
    "make faults-hub": _LONG,
    "make faults-hub RATE=500 SECONDS=200": _LONG,
    "make faults-nats": _LONG,
    "make faults-nats RATE=500 SECONDS=200": _LONG,
    "make bench": _LONG,
    "make bench BEFORE=HEAD~1": _LONG,
    "make bench FULL=1": _LONG,
    "make soak": _LONG,
    "make open": "it opens a browser window",
    "make lock": _REGISTRY,
    "echo some-package >> requirements.in": _REGISTRY,
    "git add requirements*.in requirements*.txt": _REGISTRY,
    "python3 -m venv .venv && VIRTUAL_ENV=$PWD/.venv uv pip sync --require-hashes requirements.txt": _REGISTRY,
    "make env-setup PYTHON=python3.12": "that Python may be missing",
    "git pull && make apps-up": "a checkout of the tests has no remote",
    "make infra-up": _INFRA,
    "make infra-down": _INFRA,
    "make infra-up ALERTS=1": _INFRA,
    "make infra-up PROMETHEUS_PORT=9091": _INFRA,
    "make infra-up GRAFANA_PORT=3001": _INFRA,
    ".venv/bin/flask --app webapp trades audit --prometheus http://127.0.0.1:9090": "test_prometheus.py runs it",
    "make images": _IMAGE,
    "make stage-up": _STAGE,
    "make stage-up NATS=1": _STAGE,
    "make stage-down": _STAGE,
    ".venv/bin/python -m infra.check_stage --token-file token": _STAGE,
    ".venv/bin/python -m infra.image.build --tool buildah --tag registry.example/trading-telemetry:0.1.0 "
    "-- --no-cache": _IMAGE,
    "docker volume create trading": _STAGE,
    "docker network create trading": _STAGE,
    'docker run --rm --env SECRET_KEY="$KEY" --volume trading:/var/lib/trading-telemetry trading-telemetry '
    "flask --app webapp tokens create desk --scope trade:write --scope trade:read": _STAGE,
    "docker run --detach --name sidecar --network trading --read-only --tmpfs /tmp --cap-drop all --env AUTH=off "
    "--volume trading:/var/lib/trading-telemetry trading-telemetry python -m sidecar": _STAGE,
    "docker run --detach --name web --network trading --read-only --tmpfs /tmp --cap-drop all --env AUTH=required "
    '--env SECRET_KEY="$KEY" --env SIDECAR_HTTP_HOST=sidecar --publish 127.0.0.1:8000:8000 '
    "--volume trading:/var/lib/trading-telemetry trading-telemetry": _STAGE,
    "useradd --system --home-dir /var/lib/trading-telemetry --shell /usr/sbin/nologin trading": _UNITS,
    "python3 -m venv .venv": _REGISTRY,
    ".venv/bin/python -m pip install --require-hashes -r requirements.txt": _REGISTRY,
    "install -d -m 0700 /etc/trading-telemetry": _UNITS,
    'sh -c \'umask 077; .venv/bin/python -c "import secrets; print(secrets.token_urlsafe(32))" '
    "> /etc/trading-telemetry/secret_key'": _UNITS,
    "install -m 0644 infra/systemd/trading-telemetry-web.service infra/systemd/trading-telemetry-sidecar.service "
    "/etc/systemd/system/": _UNITS,
    "install -m 0644 infra/systemd/trading-telemetry-backup.service infra/systemd/trading-telemetry-backup.timer "
    "/etc/systemd/system/": _UNITS,
    "systemctl enable --now trading-telemetry-backup.timer": _UNITS,
    'docker run --rm --env SECRET_KEY="$KEY" --env BACKUP_FOLDER=/backups --volume trading:/var/lib/trading-telemetry '
    "--volume backups:/backups trading-telemetry flask --app webapp trades backup": _STAGE,
    ".venv/bin/flask --app webapp trades backup": "tests/webapp/cli/test_backup_folder.py runs it with a folder",
    "systemctl daemon-reload": _UNITS,
    "systemctl enable --now trading-telemetry-sidecar trading-telemetry-web": _UNITS,
    "runuser -u trading -- env SECRET_KEY=not-needed-for-tokens JOURNAL_PATH=/var/lib/trading-telemetry/journal.db "
    ".venv/bin/flask --app webapp tokens create desk --scope trade:write --scope trade:read": _UNITS,
    "docker info": _ENGINE,
    "docker compose version": _ENGINE,
    "docker compose -f infra/compose.yml logs": _ENGINE,
    "promtool check rules": "tests/infra runs it, with the files",
    "promtool test rules": "tests/infra runs it, with the files",
    "python -m sidecar": "it is the name of the process",
    "python -m relay pull": "it is the name of the process",
    "python -m relay push": "it is the name of the process",
    "python -m relay skip JOURNAL_ID": "tests/relay runs it, over a broker",
    "python -m relay skip JOURNAL_ID FROM TO": "tests/relay runs it, over a broker",
    "python -m relay setup": "tests/relay runs it, with a broker",
    "curl -s 'localhost:8222/connz?auth=true' | grep -E '\"(ip|name|authorized_user)\"'": "test_nats.py asks a node",
    ".venv/bin/python -m infra.nats host NAME JOURNAL_ID": "tests/infra/test_nats.py runs it",
    "python -m relay skip URL": "tests/relay runs it, with a host that has deleted trades",
    "prometheus=github.com/prometheus/prometheus/cmd": "it builds another version of Prometheus",
    "GOBIN=$PWD/var/go go install $prometheus/prometheus@v0.316.0 $prometheus/promtool@v0.316.0": "the same",
    "PATH=$PWD/var/go:$PATH .venv/bin/pytest tests/infra "
    "tests/system/test_{prometheus,series_start,web_metrics,hosts}.py": _SUITE,
}


def list_commands() -> set[str]:
    found: set[str] = set()
    for page in DOCS:
        text = page.read_text()
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines = re.sub(r" *\\\n *", " ", block).splitlines()
            found.update(re.sub(r"\s+# .*$", "", line).strip() for line in lines)
        prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        found.update(" ".join(command.split()) for command in INLINE.findall(prose))
    bench = {command for command in found if command.startswith(".venv/bin/python -m bench")}
    return found - {""} - bench


def test_every_command_in_the_docs_is_run_or_has_a_reason() -> None:
    known = [*STARTS, *PARTS, *RUNS, *NOT_RUN]
    assert len(known) == len(set(known))
    assert list_commands() == set(known)


def test_commands_that_are_names_in_the_docs_begin_with_their_path() -> None:
    assert not [
        command for command in list_commands() if command.split()[0] in {"honcho", "flask", "gunicorn", "pytest"}
    ]


def test_every_benchmark_in_the_docs_exists() -> None:
    pages = "".join(page.read_text() for page in DOCS)
    modules = re.findall(r"\.venv/bin/python -m (bench[.\w]*)", pages)
    assert modules
    for name in modules:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), name


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    for program in ("curl", "ss", "fuser"):
        require_program(program)
    made = Checkout(tmp_path / "checkout")
    try:
        yield made
    finally:
        made.kill()


def test_the_commands_of_the_docs_run_in_a_clean_shell(checkout: Checkout) -> None:
    trade = "2026-01-02T03:04:05Z,BTCUSDT,BUY,64210.50,0.250"
    (checkout.folder / "trades.csv").write_text(f"ts,symbol,side,price,qty\n{trade}\n")
    names = "ts,symbol,side,price,qty,Time,Fill_Price,Size,B/S"
    fill = "2026-01-02T03:04:06Z,ETHUSDT,SELL,3100.5,1,2026-01-02 09:30:00,6900.25,2,Buy"
    (checkout.folder / "fills.csv").write_text(f"{names}\n{fill}\n")
    line = '{"symbol": "BTCUSDT", "side": "SELL", "price": "64210.50", "qty": "0.1"}'
    (checkout.folder / "trades.ndjson").write_text(f"{line}\n{line}\n")
    # The checkout's ports instead of the default ones.
    ports = {"127.0.0.1:8000": checkout.web_url[7:], "127.0.0.1:8001": checkout.sidecar_url[7:]}
    ports |= {"localhost:8000": ports["127.0.0.1:8000"], "localhost:8001": ports["127.0.0.1:8001"]}
    (relay_port,) = free_ports(1)
    ports["localhost:8002"] = f"localhost:{relay_port}"
    own_ports = {8000: checkout.web_port, 8001: checkout.sidecar_port, 8002: relay_port, 5555: checkout.hints_port}
    ports |= {f"port = :{default}": f"port = :{port}" for default, port in own_ports.items()}
    started = checkout.launch("make apps-up")
    checkout.wait_ready()
    # A hub beside it, of which the runbooks of the relay look at the relay.
    settings = f"RELAY_HTTP_HOSTS={checkout.web_url} RELAY_HTTP_PORT={relay_port} JOURNAL_PATH=var/hub.db"
    checkout.launch(f"env {settings} .venv/bin/python -m relay pull")
    checkout.wait_ready(f"http://127.0.0.1:{relay_port}")
    for command, expected in RUNS.items():
        if "audit" in command or "metrics" in command:
            checkout.wait_counted()
        written = command
        for default, own in ports.items():
            written = written.replace(default, own)
        done = checkout.run(written, 120)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert expected in done.stdout, (command, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    started.wait(60)


@pytest.mark.parametrize("command", [*STARTS, *PARTS])
def test_the_stack_starts_by_each_command_of_the_docs(checkout: Checkout, command: str) -> None:
    if "other.env" in command:
        (checkout.folder / ".env").rename(checkout.folder / "other.env")
    started = checkout.launch(f"/bin/bash -c {shlex.quote(command)}")
    urls = {"web": [checkout.web_url], "sidecar": [checkout.sidecar_url]}.get(PARTS.get(command, ""), [])
    checkout.wait_ready(*urls)
    if "other.env" in command:
        # make reads .env, so it does not know the ports of another stack.
        started.send_signal(signal.SIGTERM)
    else:
        assert "The stack is stopped." in checkout.run("make apps-down").stdout
    checkout.wait_gone()
    started.wait(60)
