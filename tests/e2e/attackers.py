"""Somebody who does his worst at every port of a cluster: a process of its own, of low priority (of the lowest a busy computer
would let nothing of the attack come about), bounded in count and rate, on loopback alone. Steered by JSON lines on standard input, each of which is answered by one with all counts so far:

    {"do": "attack", "manager": PORT, "doors": [PORT, ...], "gateway": PORT, "tickets": [LINE, ...], "overheard": [HEX, ...],
     "programs": {NAME: [WORD, ...]}, "pace": TIMES}          goes on until the next one, which may name other doors
    {"do": "rest"}                             lets go of everything
    {"do": "count"}

Ends with its standard input. A count is named PLACE.KIND.WHAT; whatever is named got_in should not be there.
"""

import asyncio
import collections
import contextlib
import json
import os
import random
import resource
import socket
import ssl
import struct
import sys
import time

# How often in a second each kind begins anew, for each port of that place, on the reference machine; on one that is `pace` times as
# slow so much less often that the attack takes the same share of its processors. A door has 64 places for those who have not
# said what they want, each for five seconds: its half-open ones are as many as keep all of them taken, on every machine. An emulated
# machine needs 4 ms of a processor for each, so that more would measure the emulation; on a slow machine fewer doors are named.
RATES = {
    "manager": {"half_open": 200, "slow": 8, "cut_off": 10, "malformed": 5, "oversized": 2, "again": 1, "program": 1},
    "door": {"half_open": 15, "slow": 2, "cut_off": 2, "malformed": 1, "oversized": 0.5, "ticket": 1},
    "gateway": {"half_open": 40, "slow": 4, "cut_off": 5, "malformed": 1, "oversized": 0.5, "stranger": 1},
}
BURST = {"manager": 600, "door": 60, "gateway": 100}  # half-open ones with which it begins, for each port
MOST_HELD = {"manager": 1500, "door": 300, "gateway": 400}  # half-open ones at a time, for each port
MOST_AT_WORK = 100  # of every other kind
NICENESS = 10
TICK_S = 0.05
SLOW_S = 60         # nobody is waited for so long
TALK_S = 10

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
HELLO = b"\x04\xc8\x05HELLO\x01\0" + bytes(72) + b"x" * 120


def first_flight():
    """What a TLS client says first."""
    context, said = ssl.create_default_context(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="127.0.0.1").do_handshake()
    return said.read()


class Silent(asyncio.Protocol):
    """Connected, and nothing more."""

    def __init__(self, attackers, place, port, start):
        self.attackers, self.place, self.port, self.start = attackers, place, port, start
        self.transport = None
        self.let_go = False  # by us

    def connection_made(self, transport):
        self.transport = transport
        if self.start:
            transport.write(self.start)
        self.attackers.held[self.port].add(self)

    def connection_lost(self, _problem):
        self.attackers.held[self.port].discard(self)
        if not self.let_go:
            self.attackers.counts[f"{self.place}.half_open.cut"] += 1


class Attackers:
    def __init__(self):
        self.counts = collections.Counter()
        self.held = collections.defaultdict(set)
        self.at_work = collections.Counter()
        self.plan = {}
        self.owed = collections.Counter()
        self.longest_slow = collections.Counter()
        self.tasks = set()
        self.flight = first_flight()
        self.turn = 0
        self.blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.blind.check_hostname, self.blind.verify_mode = False, ssl.CERT_NONE

    def said(self):
        times = os.times()
        return {"counts": dict(self.counts), "held": sum(map(len, self.held.values())), "longest_slow_s": dict(self.longest_slow),
                "cpu_s": times.user + times.system + times.children_user + times.children_system}

    # ------------------------------------------------------------------ the rhythm

    def ports(self):
        for place in ("manager", "gateway"):
            if self.plan.get(place):
                yield place, self.plan[place]
        for port in self.plan.get("doors", ()):
            yield "door", port

    def attack(self, order):
        known = set(self.ports())
        self.plan = order
        for place, port in set(self.ports()) - known:
            self.owed[place, port, "half_open"] = BURST[place]

    async def go_on(self):
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            passed, before = min(time.monotonic() - before, 4 * TICK_S), time.monotonic()
            for place, port in self.ports():
                for kind, rate in RATES[place].items():
                    slower = 1 if (place, kind) == ("door", "half_open") else self.plan["pace"]
                    self.owed[place, port, kind] += rate / slower * passed
                    while self.owed[place, port, kind] >= 1:
                        self.owed[place, port, kind] -= 1
                        self.begin(place, port, kind)

    def begin(self, place, port, kind):
        if kind == "half_open":
            if len(self.held[port]) + self.at_work[place, port, kind] >= MOST_HELD[place]:
                return
        elif self.at_work[place, port, kind] >= MOST_AT_WORK:
            return
        self.at_work[place, port, kind] += 1
        self.turn += 1
        task = asyncio.ensure_future(self.one(place, port, kind, self.turn))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def one(self, place, port, kind, turn):
        try:
            await getattr(self, kind)(place, port, turn)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.counts[f"{place}.{kind}.cut"] += 1
        finally:
            self.at_work[place, port, kind] -= 1

    async def rest(self):
        self.plan = {}
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for held in self.held.values():
            for one in list(held):
                one.let_go = True
                one.transport.abort()
        await asyncio.sleep(0.1)

    # ------------------------------------------------------------------ what is tried

    def opening(self, place):
        return GREETING + HELLO if place == "manager" else self.flight

    @contextlib.asynccontextmanager
    async def line(self, port, **options):
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, **options), TALK_S)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def answer(self, reader, most=400):
        """What comes until the other side ends it, or for some time."""
        got = b""
        with contextlib.suppress(asyncio.TimeoutError):
            while len(got) < most and (part := await asyncio.wait_for(reader.read(most), TALK_S)):
                got += part
        return got

    async def half_open(self, place, port, turn):
        """Says nothing, or the first bytes of something."""
        start = self.opening(place)[:(0, 3, 64)[turn % 3]]
        await asyncio.wait_for(asyncio.get_running_loop().create_connection(lambda: Silent(self, place, port, start), "127.0.0.1", port), TALK_S)
        self.counts[f"{place}.half_open.opened"] += 1

    async def slow(self, place, port, _turn):
        """One byte per second, as long as it is let."""
        async with self.line(port) as (reader, writer):
            self.counts[f"{place}.slow.opened"] += 1
            began = time.monotonic()
            ended = asyncio.ensure_future(reader.read())  # whatever is answered meanwhile, until the end
            try:
                for byte in self.opening(place)[:SLOW_S]:
                    writer.write(bytes([byte]))
                    await asyncio.wait([ended], timeout=1)
                    if ended.done():
                        self.counts[f"{place}.slow.cut"] += 1
                        break
                else:
                    self.counts[f"{place}.slow.got_in"] += 1
            finally:
                ended.cancel()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await ended
                self.longest_slow[place] = max(self.longest_slow[place], round(time.monotonic() - began, 1))

    async def cut_off(self, place, port, turn):
        """A handshake that ends in the middle, in order or by a reset."""
        async with self.line(port) as (_, writer):
            opening = self.opening(place)
            writer.write(opening[:random.randrange(len(opening) + 1)])
            if turn % 2:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(random.random() / 10)
            self.counts[f"{place}.cut_off.done"] += 1

    async def malformed(self, place, port, _turn):
        """What no protocol says."""
        forms = (os.urandom(300), b"GET / HTTP/1.1\r\n\r\n", b"UNDERSTUDY/1 desktop x\n", self.flight[:40] + os.urandom(500),
                 GREETING.replace(b"CURVE", b"NULL\0") + b"\x04\x26\x05READY\x0bSocket-Type\0\0\0\x06DEALER", GREETING + b"\x04\0\0\0\x01\0")
        async with self.line(port) as (reader, writer):
            writer.write(random.choice(forms))
            self.counts[f"{place}.malformed.said"] += 1
            await self.answer(reader)

    async def oversized(self, place, port, _turn):
        """More than is ever believed: as a frame's length, as a first line, as a header."""
        if place == "manager":
            async with self.line(port) as (reader, writer):
                writer.write(GREETING + b"\x06" + b"\xff" * 8 + bytes(200_000))
                self.counts["manager.oversized.said"] += 1
                await self.answer(reader)
        elif place == "door":
            await self.at_a_door(port, b"UNDERSTUDY/1 desktop " + b"x" * 20_000 + b"\n", "oversized")
        else:
            await self.at_the_gateway(port, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "oversized")

    async def at_a_door(self, port, line, kind):
        async with self.line(port, ssl=self.blind, ssl_handshake_timeout=TALK_S) as (reader, writer):
            writer.write(line)
            words = (await self.answer(reader)).decode(errors="replace").split()
            if words and words[0] == "OK":
                self.counts[f"door.{kind}.got_in"] += 1
            self.counts[f"door.{kind}.{'refused' if words and words[0] in ('NO', 'VOID') else 'cut'}"] += 1

    async def ticket(self, _place, port, turn):
        """Tickets that were used, those of other doors and epochs among them, and some that are none."""
        lines = self.plan.get("tickets") or ["UNDERSTUDY/1 window none"]
        await self.at_a_door(port, lines[turn % len(lines)].encode() + b"\n", "ticket")

    async def at_the_gateway(self, port, request, kind):
        async with self.line(port, ssl=self.blind, ssl_handshake_timeout=TALK_S) as (reader, writer):
            writer.write(request)
            status = (await self.answer(reader))[9:12]
            self.counts[f"gateway.{kind}.{'refused' if status in (b'400', b'401', b'403', b'429', b'431') else 'got_in' if status[:1] == b'2' else 'cut'}"] += 1

    async def stranger(self, _place, port, _turn):
        """A key of nobody."""
        await self.at_the_gateway(port, b"GET /api/v1/view HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer nobodys-key\r\n\r\n", "stranger")

    async def again(self, _place, port, _turn):
        """What an honest connection was heard to say, said again."""
        async with self.line(port) as (reader, writer):
            for piece in self.plan.get("overheard", ()):
                writer.write(bytes.fromhex(piece))
                await asyncio.sleep(0.005)
            self.counts["manager.again.said"] += 1
            await self.answer(reader)

    async def program(self, _place, _port, turn):
        """The system's own command line, with a key that it should not have."""
        programs = sorted(self.plan.get("programs", {}).items())
        if not programs:
            return
        name, words = programs[turn % len(programs)]
        process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        try:
            status = await asyncio.wait_for(process.wait(), 30)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        self.counts[f"manager.{name}.{'got_in' if status == 0 else 'refused'}"] += 1


async def obey():
    attackers = Attackers()
    rhythm = asyncio.ensure_future(attackers.go_on())
    orders = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        if order["do"] == "attack":
            attackers.attack(order)
        elif order["do"] == "rest":
            await attackers.rest()
        print(json.dumps(attackers.said()), flush=True)
    rhythm.cancel()
    await attackers.rest()


def main():
    os.nice(NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    asyncio.run(obey())


if __name__ == "__main__":
    main()
