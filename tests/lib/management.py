"""RabbitMQ's management API: what AMQP does not tell. Its figures lag by up to 5 s; use AMQP for queue depths."""

from urllib.parse import quote

import requests

from .wait import wait_for


class Management:
    def __init__(self, url, vhost="/"):
        self.url = url.rstrip("/") + "/api/"
        self.vhost = quote(vhost, safe="")
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy between us and the loopback

    def _do(self, method, path, **options):
        response = self.session.request(method, self.url + path, timeout=30, **options)
        response.raise_for_status()
        return response.json() if response.content else None

    def get(self, path, **params):
        return self._do("GET", path, params=params)

    def put(self, path, body=None):
        return self._do("PUT", path, json=body or {})

    def delete(self, path):
        return self._do("DELETE", path)

    def create_vhost(self):
        self.put(f"vhosts/{self.vhost}")
        self.put(f"permissions/{self.vhost}/guest", {"configure": ".*", "write": ".*", "read": ".*"})

    def delete_vhost(self):
        self.delete(f"vhosts/{self.vhost}")

    def queues(self):
        return {queue["name"]: queue for queue in self.get(f"queues/{self.vhost}")}

    def queue(self, name):
        return self.get(f"queues/{self.vhost}/{quote(name, safe='')}")

    def exchanges(self):
        return {exchange["name"]: exchange for exchange in self.get(f"exchanges/{self.vhost}")}

    def bindings(self):
        return self.get(f"bindings/{self.vhost}")

    def connections(self):
        return self.get(f"vhosts/{self.vhost}/connections")

    def limit_connections(self, most):
        """No more of them in this vhost than that; those that are open stay. None: as many as may be."""
        path = f"vhost-limits/{self.vhost}/max-connections"
        self.delete(path) if most is None else self.put(path, {"value": most})

    def close_publishers(self):
        """Cut off the workers' connections that publish, and not those that consume, as far as the API knows of them yet."""
        ours = {c["name"] for c in self.connections() if c.get("client_properties", {}).get("product") == "Garrison"}
        confirming = [channel for channel in self.get(f"vhosts/{self.vhost}/channels") if channel.get("confirm")]
        # Of a connection that is going there are no details, but an empty list.
        for name in ours & {c["connection_details"]["name"] for c in confirming if c.get("connection_details")}:
            self._close(name)

    def close_connections(self, at_least=1):
        """Cut every client of this vhost off, as an operator would. Waits until the API knows so many of them."""

        def known():
            connections = self.connections()
            return connections if len(connections) >= at_least else None

        for connection in wait_for(known, timeout=20, what=f"{at_least} connections in the management API"):
            self._close(connection["name"])

    def _close(self, connection):
        try:
            self.delete("connections/" + quote(connection, safe=""))
        except requests.HTTPError as error:
            if error.response.status_code != 404:  # gone by itself meanwhile
                raise
