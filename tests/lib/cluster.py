"""Servers in numbers: a RabbitMQ cluster, Redis under Sentinel, PostgreSQL with a standby; and a stack on them."""

import random
from urllib.parse import urlsplit

import pika
import redis
from redis.sentinel import Sentinel

from .amqp import Amqp
from .management import Management
from .servers import ROOT, Servers
from .stack import Stack, with_path
from .users import Users
from .wait import wait_for

MASTER = "garrison"


class Cluster(Servers):
    """Members: rabbitmq1 to rabbitmq3, redis1, redis2, sentinel1 to sentinel3, postgres1, postgres2."""

    script = ROOT / "deploy/local/cluster.sh"
    up_within_s = 160

    def up(self, member):
        """Start a killed one again; returns when it is a member as before."""
        self._do("up", self.folder, member)

    def promote(self):
        """The PostgreSQL standby becomes the primary."""
        self._do("promote", self.folder)


class ClusterStack(Stack):
    """All of the servers, for whoever started them. What a test asks goes to a member that is alive."""

    def __init__(self, servers, bin_dir):  # no part of them, so nothing of Stack's
        self.servers = servers
        self.bin_dir = bin_dir
        self.users = None  # before the fleet is there
        self.name = "cluster"
        self.amqp_urls = servers.url("AMQP_URL").split(",")
        self.redis_url = servers.url("REDIS_URL")
        self.database_url = servers.url("DATABASE_URL")
        self._admin_database_url = with_path(self.database_url, "postgres")
        self.dead_brokers = set()
        hosts = urlsplit(self.redis_url).netloc.split(",")
        self.sentinel = Sentinel([tuple(host.split(":")) for host in hosts], socket_timeout=2)
        self.redis = self.sentinel.master_for(MASTER, decode_responses=True)

    def create(self):
        self.ctl("topology", "apply")
        self.ctl("migrate")
        self.users = Users(self).apply()
        return self

    # The broker's nodes: rabbitmq1, ... ----------------------------------------------------------------------------------

    @staticmethod
    def _number(node):
        return int(node[-1])

    def living(self):
        return [node for node in ("rabbitmq1", "rabbitmq2", "rabbitmq3") if node not in self.dead_brokers]

    @property
    def amqp_url(self):
        return ",".join(self.amqp_urls)

    def prefer(self, node):
        """Workers that start from now on try this node first."""
        first = self._number(node) - 1

        def put_first(urls):
            urls = sorted(urls, key=lambda url: urlsplit(url).port)
            return urls[first:] + urls[:first]

        self.amqp_urls = put_first(self.amqp_urls)
        for file in self.users.folder.glob("*-amqp-url"):
            file.write_text(",".join(put_first(file.read_text().strip().split(","))))

    @property
    def api_url(self):
        node = self.living()[0]
        first = urlsplit(self.servers.url("RABBITMQ_API_URL"))
        return f"http://guest:guest@127.0.0.1:{first.port + self._number(node) - 1}/"

    @property
    def management(self):
        return Management(self.api_url)

    def leader(self, queue):
        """The node that leads a quorum queue; for a classic queue, the node that it lies on."""
        told = self.management.queue(queue)
        return "rabbitmq" + (told.get("leader") or told["node"]).split("@")[0][-1]

    def amqp(self):
        urls = self.servers.url("AMQP_URL").split(",")
        node = random.choice(self.living())
        return Amqp(urls[self._number(node) - 1])

    def kill_broker(self, node):
        self.dead_brokers.add(node)
        self.servers.kill(node)

    def revive_broker(self, node):
        self.servers.up(node)
        self.dead_brokers.discard(node)

    def heal(self):
        """Every member is there again, whatever a test left."""
        for node in sorted(self.dead_brokers):
            self.revive_broker(node)
        for member in ("redis1", "redis2", "postgres1", "postgres2"):
            self.servers.up(member)

    # Redis ---------------------------------------------------------------------------------------------------------------

    def redis_members(self):
        """(port of the primary, port of the replica) as the Sentinels have it."""
        primary = self.sentinel.discover_master(MASTER)[1]
        base = urlsplit("//" + urlsplit(self.redis_url).netloc.split(",")[0]).port - 2
        return primary, base if primary != base else base + 1

    def redis_servers(self):
        return [self.redis_at(port) for port in self.redis_members()]

    def redis_at(self, port):
        return redis.Redis(port=port, decode_responses=True)

    def wait_for_promotion(self, old_primary, timeout=20):
        def promoted():
            try:
                return self.sentinel.discover_master(MASTER)[1] != old_primary
            except redis.RedisError:
                return False

        wait_for(promoted, timeout, what="the Sentinels to promote the replica")


def broker_errors():
    """What a client of a dying broker node is told."""
    return (pika.exceptions.AMQPError, OSError, AssertionError)
