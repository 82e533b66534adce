"""Users of each service's own in all three stores, with just their rights: as deploy/secrets.sh and deploy/access make them."""

import re
import subprocess
import tempfile
from pathlib import Path
import psycopg2

from .servers import ROOT


def server_of(url):
    """What secrets.sh wants of a URL, or of several: without the user, and for a plain one without the scheme."""
    return re.sub(r"(amqp://|redis://|postgresql://|(?<=://))([^@,/]*@)?", "", url)


class Users:
    def __init__(self, stack):
        self.stack = stack
        self._folder = tempfile.TemporaryDirectory(prefix="garrison-users-")
        self.folder = Path(self._folder.name)
        self._choose_passwords()
        self._make_secrets()

    def _choose_passwords(self):
        """The same on each stack: Redis and PostgreSQL know a user once for all databases."""
        (self.folder / "passwords").mkdir()
        listed = (ROOT / "deploy/fleet.list").read_text().splitlines()
        names = [line.split()[0] for line in listed if line and not line.startswith("#")]
        for name in (*names, "bot", "engine", "operator"):
            (self.folder / "passwords" / f"garrison-{name}").write_text(f"of-{name}")

    def _make_secrets(self):
        stack = self.stack
        subprocess.run(
            [ROOT / "deploy/secrets.sh", self.folder],
            env={
                "PATH": "/usr/bin:/bin",
                "GARRISONCTL": str(stack.binary("garrisonctl")),
                "AMQP_SERVER": server_of(stack.amqp_url),
                "REDIS_SERVER": server_of(stack.redis_url),
                "POSTGRES_SERVER": server_of(stack.database_url),
            },
            check=True,
            capture_output=True,
        )

    def apply(self):
        """The database must be migrated."""
        stack = self.stack
        stack.management._do(
            "POST",
            "definitions",
            data=(self.folder / "rabbitmq-definitions.json").read_bytes(),
            headers={"content-type": "application/json"},
        )
        for line in (self.folder / "redis.acl").read_text().splitlines():
            _, name, *rules = line.split()
            for server in stack.redis_servers() if name != "default" else ():  # that one is the tests' own
                server.execute_command("ACL", "SETUSER", name, "reset", *rules)
        for server in stack.redis_servers():
            if server.config_get("aclfile")["aclfile"]:
                server.execute_command("ACL", "SAVE")  # so that a test may kill it
        with stack._admin_database() as lock, stack.database() as database:  # roles are of all databases
            lock.execute("SELECT pg_advisory_lock(hashtext('roles'))")
            for script in (ROOT / "deploy/access/postgresql.sql", self.folder / "postgresql-passwords.sql"):
                with database.cursor() as cursor:
                    cursor.execute(script.read_text())
            lock.connection.close()
        return self

    def url(self, service, kind):
        """kind: amqp, redis or database."""
        return (self.folder / f"{service}-{kind}-url").read_text().strip()

    def settings(self, service):
        """What a worker is started with; nothing for a service that is not of the fleet."""
        urls = {f"{kind.upper()}_URL": self.folder / f"{service}-{kind}-url" for kind in ("amqp", "redis", "database")}
        return {name: file.read_text().strip() for name, file in urls.items() if file.exists()}

    def sql(self, service, statement, *values):
        """As that service's role, on a connection that is closed after it."""
        connection = psycopg2.connect(self.url(service, "database"))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()
