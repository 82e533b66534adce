"""One pytest run over everything: the C unit tests as items of their own, the black-box cases on real servers.

GARRISON_BIN          folders of binaries to test, colon-separated; default build/bin
GARRISON_TEST_STACK   a folder of servers that are up already (make servers-up); default: servers for this run alone
GARRISON_FAULT_SEED   the seed of what the fault tests choose by chance; each prints it; another one looks elsewhere
GARRISON_FAULT_ROUNDS how much of it they choose; default 1
GARRISON_TEST_USERS   set: every worker runs under broker, database and cache users of its own, with just its rights
"""

import os
import subprocess
from pathlib import Path

import pytest

from lib.fleet import Fleet
from lib.servers import ROOT, Servers
from lib.stack import Stack

BUILDS = [Path(folder) for folder in os.environ.get("GARRISON_BIN", "build/bin").split(":")]
# The folders under build/ whose unit tests are run; a whole run wants both.
UNIT_BUILDS = ("asan", "tsan")

_servers = None


# The servers of the run: started by the controlling process, while tests are collected ------------------------------


def pytest_configure(config):
    global _servers
    is_helper = hasattr(config, "workerinput")
    # What the fault tests choose by chance is the same in all processes of a run, and in every short run.
    os.environ.setdefault("GARRISON_FAULT_SEED", "611037417")
    if not (is_helper or config.option.collectonly or "GARRISON_TEST_STACK" in os.environ):
        _servers = Servers.private()
        os.environ["GARRISON_TEST_STACK"] = str(_servers.folder)


def pytest_unconfigure():
    if _servers:
        _servers.release()


@pytest.fixture(scope="session")
def servers():
    """The servers that all modules share, each in a vhost and databases of its own. Not to be stopped or emptied."""
    return Servers(os.environ["GARRISON_TEST_STACK"]).wait_until_up()


# The builds: each black-box test runs once for each of them, its modules apart from each other -----------------------


def build_name(folder):
    return folder.parent.name if folder.parent.name != "build" else "release"


def pytest_generate_tests(metafunc):
    if "build" in metafunc.fixturenames:
        # A module that makes the binaries it tests, or mostly waits, is run once: with the first of the builds, or with the last, which
        # in a whole run has the sanitizers.
        one = {"first": BUILDS[:1], "last": BUILDS[-1:]}
        builds = one.get(getattr(metafunc.module, "ONE_BUILD", None), BUILDS)
        metafunc.parametrize("build", builds, ids=build_name, indirect=True, scope="module")


@pytest.fixture(scope="module")
def build(request):
    """The folder of the binaries under test."""
    return (ROOT / request.param).resolve()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if missing_services(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    for item in items:
        if hasattr(item, "callspec"):
            params = item.callspec.params
            parts = [build_name(params["build"])] if "build" in params else []
            # A long module that says so is parted by one of its parameters, each part with a stack of its own.
            parts += [params[name] for name in [getattr(item.module, "GROUPED_BY", None)] if name in params]
            item.add_marker(pytest.mark.xdist_group("-".join([item.path.stem, *parts])))


def missing_services(item):
    return [
        name
        for marker in item.iter_markers("services")
        for name in marker.args
        if not (ROOT / "services" / name / "main.c").exists()
    ]


# What a black-box test works with -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stack(servers, build):
    """This module's vhost, database and Redis database, prepared."""
    stack = Stack(servers, build)
    try:
        yield stack.create()
    finally:
        stack.remove()


@pytest.fixture(scope="module")
def own_stack(build):
    """The same on servers of this module alone, which it may kill, pause and empty: own_stack.servers.kill("redis")."""
    servers = Servers.private()
    try:
        yield Stack(servers.wait_until_up(), build).create()
    finally:
        servers.release()


@pytest.fixture
def fleet(stack, tmp_path):
    """Workers for one test; at its end each must stop cleanly. Fleet(stack, folder) serves other scopes."""
    fleet = Fleet(stack, tmp_path)
    yield fleet
    fleet.stop()


@pytest.fixture
def own_fleet(own_stack, tmp_path):
    fleet = Fleet(own_stack, tmp_path)
    yield fleet
    fleet.stop()


@pytest.fixture
def amqp(stack):
    amqp = stack.amqp()
    yield amqp
    amqp.close()


@pytest.fixture
def redis(stack):
    return stack.redis


@pytest.fixture
def database(stack):
    """A psycopg2 connection in autocommit."""
    connection = stack.database()
    yield connection
    connection.close()


@pytest.fixture
def sql(database):
    """sql("SELECT ... %s", value): all rows, or None where there are none to give."""

    def run(statement, *values):
        with database.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    return run


# C unit tests: tests/unit/test_*.c, each function an item, in each sanitizer's build ----------------------------------


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".c" and file_path.name.startswith("test_") and file_path.parent.name == "unit":
        return UnitFile.from_parent(parent, path=file_path)
    return None


class UnitFile(pytest.File):
    def collect(self):
        for build in UNIT_BUILDS:
            program = ROOT / "build" / build / "tests" / self.path.stem
            if not program.exists():
                raise self.CollectError(f"{program} is missing: run make SAN={build} unit-tests")
            listed = subprocess.run(
                [*without_address_randomization(), program, "--list"], capture_output=True, text=True, check=True
            )
            for name in listed.stdout.split():
                yield UnitItem.from_parent(self, name=f"{name}[{build}]", program=program, test=name)


class UnitItem(pytest.Item):
    def __init__(self, *, program, test, **rest):
        super().__init__(**rest)
        self.program = program
        self.test = test

    def runtest(self):
        done = subprocess.run(
            [*without_address_randomization(), self.program, self.test],
            cwd=ROOT,
            env={
                **os.environ,
                **self.servers(),
                "ASAN_OPTIONS": "detect_leaks=1",
                "UBSAN_OPTIONS": "print_stacktrace=1",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
        )
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        if done.returncode != 0:
            raise UnitFailure(f"exit status {done.returncode}\n{done.stdout}{done.stderr}")

    def servers(self):
        """The addresses of the run's servers, for a test program that asks for them."""
        if "GARRISON_TEST_" not in self.path.read_text() and "_fixture.h" not in self.path.read_text():
            return {}
        servers = Servers(os.environ["GARRISON_TEST_STACK"]).wait_until_up()
        return {f"GARRISON_TEST_{name}": servers.url(name) for name in ("DATABASE_URL", "REDIS_URL")}

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, UnitFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, f"{self.path.stem}::{self.name}"


class UnitFailure(Exception):
    pass


def without_address_randomization(cache=[]):  # noqa: B006 # asked once
    """ThreadSanitizer of gcc 12 cannot stand the wide address randomization of newer kernels."""
    if not cache:
        works = subprocess.run(["setarch", "-R", "true"], capture_output=True).returncode == 0
        cache.append(["setarch", "-R"] if works else [])
    return cache[0]
