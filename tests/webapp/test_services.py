"""The services: each process makes its own, once, and opens nothing before something is used."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from flask import Flask
from flask.testing import FlaskClient

from common.settings import Settings
from tests.webapp.conftest import GOOD
from webapp.services import Services, services


def list_open() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def test_each_process_makes_its_own_services(app: Flask) -> None:
    mine = services(app)
    child = os.fork()
    if child == 0:
        os._exit(0 if services(app) is not mine and services(app) is services(app) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert services(app) is mine


def test_requests_that_come_first_and_at_once_get_the_same_services(app: Flask, client: FlaskClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        made: set[Services] = set(pool.map(lambda _: services(app), range(64)))
    with client:
        client.get("/healthz")
        assert made == {services()}


def test_making_the_services_opens_no_file_no_socket_and_no_thread(app: Flask, settings: Settings) -> None:
    before = list_open(), psutil.Process().num_threads()
    services(app)
    assert (list_open() - before[0], psutil.Process().num_threads()) == (set(), before[1])
    assert not settings.journal_path.exists()


def test_services_that_were_closed_open_again(app: Flask, client: FlaskClient) -> None:
    for _ in range(2):
        assert client.post("/trade", json=GOOD).status_code == 201
        services(app).close()
        services(app).close()
