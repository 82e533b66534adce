"""A part of the servers for one test module alone: a vhost, a database and a Redis database."""

import hashlib
import json
import os
import subprocess
import uuid
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import redis

from .amqp import Amqp
from .management import Management
from .servers import ROOT
from .users import Users
from .wait import wait_for

PRIVATE_REDIS_DATABASES = 511  # of the 512 that servers.sh configures; number 0 hands them out


def with_path(url, path):
    return urlunsplit(urlsplit(url)._replace(path="/" + path))


class Stack:
    def __init__(self, servers, bin_dir):
        self.servers = servers
        self.bin_dir = bin_dir
        self.users = None  # a Users: each worker runs under its own
        self.name = f"test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self.amqp_url = with_path(servers.url("AMQP_URL"), self.name)
        self.api_url = servers.url("RABBITMQ_API_URL")
        self.management = Management(self.api_url, self.name)
        self._admin_redis = redis.Redis.from_url(servers.url("REDIS_URL"))
        number = self._admin_redis.incr("test:databases") % PRIVATE_REDIS_DATABASES + 1
        self.redis_url = with_path(servers.url("REDIS_URL"), str(number))
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self._admin_database_url = with_path(servers.url("DATABASE_URL"), "postgres")
        self.database_url = with_path(self._admin_database_url, self.name)

    # Life -----------------------------------------------------------------------------------------------------------

    def create(self, topology=True):
        """An applied topology, all migrations, an empty Redis database."""
        self.management.create_vhost()
        self.redis.flushdb()
        self._create_database()
        if topology:
            self.ctl("topology", "apply")
        if "GARRISON_TEST_USERS" in os.environ:
            self.users = Users(self).apply()
        return self

    def remove(self):
        self.redis.flushdb()
        self.management.delete_vhost()
        with self._admin_database() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def _admin_database(self):
        connection = psycopg2.connect(self._admin_database_url)
        connection.autocommit = True
        return connection.cursor()

    def _create_database(self):
        """A copy of a template that was migrated once: much faster than migrating each."""
        template = "template_" + self._migrations_digest()
        with self._admin_database() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext('template'))")
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,))
            if not cursor.fetchone():
                cursor.execute(f"CREATE DATABASE {self.name}")
                self.ctl("migrate")
                self._check_migrated()
                cursor.execute(f"ALTER DATABASE {self.name} RENAME TO {template}")
            cursor.execute(f"CREATE DATABASE {self.name} TEMPLATE {template}")
            cursor.connection.close()

    def _check_migrated(self):
        """A garrisonctl that was built before the newest migration would spoil the template for everybody."""
        with psycopg2.connect(self.database_url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM schema_migrations")
            assert cursor.fetchone()[0] == len(self._migrations()), "garrisonctl lacks a migration: run make"
        connection.close()

    @staticmethod
    def _migrations():
        return sorted((ROOT / "deploy/migrations").glob("[0-9]*.sql"))

    def _migrations_digest(self):
        digest = hashlib.sha256()
        for file in self._migrations():
            digest.update(file.read_bytes())
        return digest.hexdigest()[:16]

    def redis_servers(self):
        """All that have users of their own."""
        return [self.redis]

    # Use ------------------------------------------------------------------------------------------------------------

    @property
    def environment(self):
        """Of the programs under test: these servers and nothing that happens to be set around the tests."""
        return {
            "PATH": os.environ["PATH"],
            "AMQP_URL": self.amqp_url,
            "RABBITMQ_API_URL": self.api_url,
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.database_url,
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "LC_ALL": "C.UTF-8",
        }

    def binary(self, name):
        path = self.bin_dir / name
        if name == "garrison-fixture":
            path = self.bin_dir.parent / "tests" / name
        assert path.exists(), f"{path} is missing: run make"
        return path

    def ctl(self, *words, check=True, timeout=60, stdin="", **settings):
        """Run garrisonctl; returns subprocess's CompletedProcess with text output. check: it must succeed."""
        done = subprocess.run(
            [self.binary("garrisonctl"), *words],
            env={**self.environment, **settings},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, f"garrisonctl {words} gave {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def add_service(self, name, like="tick"):
        """Queues of a service that only the tests have: the same as another's."""

        def renamed(item):
            return json.loads(json.dumps(item).replace(f"game.{like}", f"game.{name}").replace(f'"{like}.#"', f'"{name}.#"'))

        definitions = json.loads(self.ctl("topology", "export").stdout)
        amqp = self.amqp()
        for queue in definitions["queues"]:
            if queue["name"].startswith(f"game.{like}"):
                queue = renamed(queue)
                amqp.channel.queue_declare(queue["name"], durable=True, arguments=queue["arguments"])
        for binding in definitions["bindings"]:
            if binding["destination"].startswith(f"game.{like}"):
                binding = renamed(binding)
                amqp.channel.queue_bind(binding["destination"], binding["source"], binding["routing_key"])
        amqp.close()

    def amqp(self):
        return Amqp(self.amqp_url)

    def database(self):
        """A connection in autocommit."""
        connection = psycopg2.connect(self.database_url)
        connection.autocommit = True
        return connection

    def wait_until_idle(self, amqp, service, timeout=10):
        """Nothing ready in the service's two queues."""
        for queue in (f"game.{service}", f"game.{service}.rpc"):
            wait_for(lambda: amqp.depth(queue) == 0, timeout, what=f"{queue} to be empty")  # noqa: B023
