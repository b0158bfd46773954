"""The storm of hubs that pull their hosts over HTTP."""

from tests.system.hub_faults.storm import Storm
from tests.system.relay import Relay
from tests.waiting import wait_for


class HttpStorm(Storm):
    """Hubs that ask the hosts."""

    def connect(self) -> None:
        self.pulls = [Relay(hub, self.hosts) for hub in self.hubs]
        for pull in self.pulls:
            self.opened.callback(pull.end)
            wait_for(pull.is_ready, "the relay is ready")
