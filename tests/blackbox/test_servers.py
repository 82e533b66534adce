"""The servers that everything else is tested on."""

import psycopg2
import redis

from lib.servers import Servers


def test_servers_are_what_the_fleet_asks_for(servers):
    cache = redis.Redis.from_url(servers.url("REDIS_URL"), decode_responses=True)
    assert cache.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with psycopg2.connect(servers.url("DATABASE_URL")) as connection:
        assert connection.server_version // 10000 == 15


def test_killed_servers_come_back_with_their_data_and_leave_nothing():
    servers = Servers.private().wait_until_up()
    try:
        cache = redis.Redis.from_url(servers.url("REDIS_URL"), decode_responses=True)
        cache.config_set("appendfsync", "always")
        cache.set("kept", "yes")
        for name in ("redis", "postgres", "rabbitmq"):
            servers.kill(name)
        servers.start()
        assert cache.get("kept") == "yes"
    finally:
        servers.release()
    assert not servers.folder.exists()
