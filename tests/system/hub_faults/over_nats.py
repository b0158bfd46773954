"""The storm of hosts that push to a cluster of three nodes, and of hubs that read it."""

import asyncio
import contextlib
import shutil
import signal
import subprocess
import time
from pathlib import Path

import nats as client
import requests

from tests.system.hub_faults.storm import FREEZE_SECONDS, Fault, Storm
from tests.system.nats_server import Nats, Node
from tests.system.relay import RelayProcess
from tests.system.stack import Stack
from tests.waiting import wait_for

AWAY_SECONDS = 8.0
"""Longer than the others take to choose a leader."""


class NatsStorm(Storm):
    """Hosts with push, hubs with pull, and three nodes between them."""

    def __init__(self, folder: Path, opened: contextlib.ExitStack, count: int = 2) -> None:
        self.nats = opened.enter_context(Nats(folder / "nats", 3))
        self.pushes: list[RelayProcess] = []
        super().__init__(folder, opened, count)

    def connect(self) -> None:
        self.set_up()
        self.pushes = [self._start("push", host) for host in self.hosts]
        self.pulls = [self._start("pull", hub) for hub in self.hubs]
        for relay in (*self.pushes, *self.pulls):
            wait_for(relay.is_ready, f"{relay.log} is ready")

    def set_up(self) -> None:
        """Make the stream, once the nodes have a leader."""
        settings = self.hosts[0].settings | self.nats.list_settings()
        setup = RelayProcess.make_command("setup")

        def is_made() -> bool:
            done = subprocess.run(setup, env=settings, capture_output=True, timeout=60, check=False)
            return done.returncode == 0

        wait_for(is_made, "the stream is made", 120, 0.5)

    def _start(self, command: str, stack: Stack) -> RelayProcess:
        relay = RelayProcess(command, stack.settings | self.nats.list_settings(), stack.folder / f"{command}.log")
        self.opened.callback(relay.end)
        return relay

    def list_faults(self) -> dict[str, Fault]:
        return {
            "push_killed": lambda: self.kill(self.pushes[0]),
            "two_pushes_of_a_host": self.push_twice,
            "follower_killed": lambda: self.kill_node(leader=False),
            "leader_killed": lambda: self.kill_node(leader=True),
            "node_frozen": self.freeze_node,
            "quorum_lost": self.lose_quorum,
            "stream_deleted": self.delete_stream,
            "old_stores_put_back": self.put_stores_back,
        } | super().list_faults()

    def push_twice(self) -> None:
        """Let a second process push the journal of a host that has one."""
        second = self._start("push", self.hosts[0])
        wait_for(second.is_ready, "the second push is ready")
        time.sleep(FREEZE_SECONDS)
        second.end()

    def find_nodes(self) -> tuple[Node, Node]:
        """Find the leader of the stream, and a follower."""

        def find() -> str | None:
            for node in self.nats.nodes:
                with contextlib.suppress(requests.RequestException, KeyError, IndexError):
                    url = f"http://127.0.0.1:{node.monitor}/jsz"
                    accounts = requests.get(url, params={"streams": "true"}, timeout=5).json()["account_details"]
                    found: str = accounts[0]["stream_detail"][0]["cluster"]["leader"]
                    return found
            return None

        name = wait_for(find, "the stream has a leader", every=0.1)
        leader = next(node for node in self.nats.nodes if node.name == name)
        return leader, next(node for node in self.nats.nodes if node is not leader)

    def kill_node(self, *, leader: bool) -> None:
        """Kill a node, and start it again when the others have had the time to go on without it."""
        node = self.find_nodes()[0 if leader else 1]
        node.end()
        self.wait_away()
        node.start()

    def freeze_node(self) -> None:
        """Freeze the leader, whose connections stay open."""
        node = self.find_nodes()[0]
        node.signal(signal.SIGSTOP)
        self.wait_away()
        node.signal(signal.SIGCONT)

    def wait_away(self) -> None:
        """Wait while a node is away."""
        time.sleep(AWAY_SECONDS)

    def lose_quorum(self) -> None:
        """Kill two of three nodes."""
        nodes = self.find_nodes()
        for node in nodes:
            node.end()
        time.sleep(FREEZE_SECONDS)
        for node in nodes:
            node.start()

    def delete_stream(self) -> None:
        """Delete the stream with all that is in it, and make it again."""

        async def delete() -> None:
            connection = await client.connect(self.nats.url.split(","))
            await connection.jetstream().delete_stream("TRADES")
            await connection.close()

        asyncio.run(delete())
        self.set_up()

    def put_stores_back(self) -> None:
        """Put old copies in place of the stores of all nodes: the stream loses what it had acknowledged since then."""
        self._swap_stores("store", "copy")
        time.sleep(FREEZE_SECONDS)
        self._swap_stores("copy", "store")

    def _swap_stores(self, source: str, target: str) -> None:
        for node in self.nats.nodes:
            node.end()
        for node in self.nats.nodes:
            shutil.rmtree(node.folder / target, ignore_errors=True)
            shutil.copytree(node.folder / source, node.folder / target)
        for node in self.nats.nodes:
            node.start()

    def restore_host(self) -> None:
        self.pushes[0].end(signal.SIGTERM)
        super().restore_host()
        self.pushes[0].start()
