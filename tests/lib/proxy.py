"""A TCP proxy of the tests' own: what a network does to a link, on orders from a test.

A Proxy is a process of its own on loopback, gone when its input closes. Orders hold for the connections there are and for those to
come, until heal(). Each has two directions: "up" (client to server) and "down" (server to client).
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65536
UP, DOWN = "up", "down"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """The test's side: Proxy(stack.redis_url).url is the same address by way of the proxy."""

    def __init__(self, url):
        parts = urlsplit(url)
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, __file__, parts.hostname, str(parts.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        port = json.loads(self._process.stdout.readline())["port"]
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _do(self, order, **details):
        self._process.stdin.write(json.dumps({"order": order, **details}) + "\n")
        return json.loads(self._process.stdout.readline())

    def heal(self):
        """All passes again. Connections with a hole in their stream are reset: no network would deliver the rest."""
        return self._do("heal")

    def cut(self, how="rst"):
        """End the connections there are, by "rst" or "fin"; new ones are served."""
        return self._do("cut", how=how)

    def refuse(self):
        """End the connections there are and reset new ones at once."""
        return self._do("refuse")

    def freeze(self, *directions):
        """Swallow nothing: connections are accepted, and no byte moves in these directions (both unless named)."""
        return self._do("set", directions=directions or (UP, DOWN), mode="hold")

    def drop(self, direction):
        """Swallow everything that goes in this direction: the sender believes it sent."""
        return self._do("set", directions=(direction,), mode="drop")

    def delay(self, ms):
        """Each piece is held for so long, in both directions."""
        return self._do("set", directions=(UP, DOWN), mode="delay", ms=ms)

    def trickle(self, piece, ms):
        """So many bytes at a time, so long between them, in both directions."""
        return self._do("set", directions=(UP, DOWN), mode="trickle", piece=piece, ms=ms)

    def cut_after(self, n, direction=DOWN):
        """Each connection is reset once n bytes more have gone in this direction."""
        return self._do("set", directions=(direction,), mode="cut", left=n)

    def lose_reply(self, text, times=1):
        """The next requests with this text in them reach the server; what it says to them is lost with the connection."""
        return self._do("lose", text=text, times=times)

    def counts(self):
        """accepted, cut, held (pieces that had to wait), dropped (bytes), lost (replies): whether a fault fired at all."""
        return self._do("counts")


# The process ----------------------------------------------------------------------------------------------------------


class Direction:
    """What becomes of the bytes that go one way."""

    def __init__(self):
        self.mode = {"mode": "pass"}
        self.changed = asyncio.Event()

    def set(self, mode):
        self.mode = mode
        self.changed.set()
        self.changed = asyncio.Event()


class Link:
    """One connection: the client's socket and, once there, the server's."""

    def __init__(self, owner, client):
        self.owner, self.client, self.server = owner, client, None
        self.passed = {UP: 0, DOWN: 0}
        self.left = {UP: None, DOWN: None}
        self.broken = False  # bytes are missing in its stream
        self.loses_reply = False
        self.tasks = []
        self.closing = None

    def arm(self, direction, mode):
        self.left[direction] = mode.get("left")

    async def run(self):
        await self.may_move(UP)
        self.server = socket.socket()
        self.server.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.server, self.owner.server)
        for end in (self.client, self.server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tasks += [
            loop.create_task(self.guard(self.pump, UP, self.client, self.server)),
            loop.create_task(self.guard(self.pump, DOWN, self.server, self.client)),
        ]

    async def guard(self, work, *arguments):
        try:
            await work(*arguments)
        except OSError:
            self.end("rst")

    async def may_move(self, direction):
        way = self.owner.ways[direction]
        while way.mode["mode"] == "hold":
            self.owner.counts["held"] += 1
            await way.changed.wait()

    async def pump(self, direction, source, sink):
        loop = asyncio.get_running_loop()
        while not self.closing:
            await self.may_move(direction)
            data = await loop.sock_recv(source, CHUNK)
            await self.may_move(direction)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                if all(task.done() for task in self.tasks if task is not asyncio.current_task()):
                    self.end("fin")
                return
            await self.forward(direction, sink, data)

    async def forward(self, direction, sink, data):
        loop = asyncio.get_running_loop()
        mode = self.owner.ways[direction].mode
        if direction == DOWN and self.loses_reply:
            self.owner.counts["lost"] += 1
            self.end("rst")
            return
        if direction == UP and not self.loses_reply and self.owner.lose and self.owner.lose["text"].encode() in data:
            self.owner.lose["times"] -= 1
            if self.owner.lose["times"] == 0:
                self.owner.lose = None
            self.loses_reply = True
        if mode["mode"] == "drop":
            self.owner.counts["dropped"] += len(data)
            self.broken = True
            return
        if mode["mode"] == "delay":
            self.owner.counts["held"] += 1
            await asyncio.sleep(mode["ms"] / 1000)
        if mode["mode"] == "trickle":
            await self.trickle(direction, sink, data)
            return
        if mode["mode"] == "cut":
            if self.left[direction] is None:
                self.arm(direction, mode)
            await loop.sock_sendall(sink, data[: self.left[direction]])
            self.left[direction] -= len(data)
            if self.left[direction] <= 0:
                self.end("rst")
            return
        await loop.sock_sendall(sink, data)

    async def trickle(self, direction, sink, data):
        loop = asyncio.get_running_loop()
        while data:
            mode = self.owner.ways[direction].mode
            if mode["mode"] != "trickle":
                await self.forward(direction, sink, data)
                return
            self.owner.counts["held"] += 1
            await loop.sock_sendall(sink, data[: mode["piece"]])
            data = data[mode["piece"] :]
            await asyncio.sleep(mode["ms"] / 1000)

    def end(self, how):
        if self not in self.owner.links:
            return
        self.owner.links.remove(self)
        if how == "rst":
            self.owner.counts["cut"] += 1
        others = [task for task in self.tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        self.closing = asyncio.get_running_loop().create_task(self.close(how, others))

    async def close(self, how, others):
        """Once the cancelled tasks have left them: a number closed under a task would be another link's soon."""
        await asyncio.gather(*others, return_exceptions=True)
        for end in (self.client, self.server):
            if end is None:
                continue
            if how == "rst":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            end.close()


class Server:
    def __init__(self, host, port):
        self.server = (socket.gethostbyname(host), int(port))
        self.links = []
        self.ways = {UP: Direction(), DOWN: Direction()}
        self.refusing = False
        self.lose = None
        self.counts = {"accepted": 0, "cut": 0, "held": 0, "dropped": 0, "lost": 0}

    async def accept(self, listening):
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listening)
            client.setblocking(False)
            self.counts["accepted"] += 1
            link = Link(self, client)
            self.links.append(link)
            if self.refusing:
                link.end("rst")
            else:
                link.tasks.append(loop.create_task(link.guard(link.run)))

    def obey(self, order):
        name = order.pop("order")
        if name == "heal":
            self.refusing, self.lose = False, None
            self.set((UP, DOWN), {"mode": "pass"})
            for link in [link for link in self.links if link.broken]:
                link.end("rst")
        elif name == "set":
            self.set(order.pop("directions"), order)
        elif name == "lose":
            self.lose = order
        elif name in ("cut", "refuse"):
            self.refusing = name == "refuse"
            for link in list(self.links):
                link.end(order.get("how", "rst"))
        return {**self.counts, "open": len(self.links)}

    def set(self, directions, mode):
        for direction in directions:
            for link in self.links:
                link.arm(direction, mode)
            self.ways[direction].set(mode)

    async def serve(self):
        loop = asyncio.get_running_loop()
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        listening.setblocking(False)
        orders = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
        accepting = loop.create_task(self.accept(listening))
        print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
        while line := await orders.readline():
            print(json.dumps(self.obey(json.loads(line))), flush=True)
        accepting.cancel()


if __name__ == "__main__":
    asyncio.run(Server(*sys.argv[1:]).serve())
