"""A proxy before a plain-http S3 endpoint that does harm by rules, and writes down every request.

It passes heads through unchanged, Host included, so that signatures hold: the client's endpoint is the proxy's address.

    with Proxy(server.endpoint) as proxy:
        proxy.on("part", nth=2, cut_request=0.5)            # the second part's connection dies in the middle of its body
        proxy.on("complete", times=1, drop_answer=True)     # done there, but nobody hears of it
        proxy.on("get", nth=1, truncate=1000)               # 1,000 bytes under a Content-Length of 1,000

What a rule may do: cut_request=N, cut_response=N (rst=True for a reset), drop_answer=True, answer=(status, code, {header: …})
without forwarding, delay=SECONDS, stall_request=(N, SECONDS or None for ever), stall_response=(N or None before the head, SECONDS),
truncate=N, flip_request=N, flip_response=N, rate=BYTES_PER_SECOND, hang_up=True (the connection ends after an answer that promised to keep
it), hook=function(request) before anything is forwarded.  an offset in the body: a number, a fraction of its length below 1, or counted from its end where negative.
"""

import asyncio
import re
import socket
import struct
import threading
import time
import urllib.parse

PIECE = 1 << 16
FOREVER = 3600


def kind_of(method, path, query):
    """What S3 calls it; path style."""
    key = path.lstrip("/").partition("/")[2]
    if not key:
        if method == "POST" and "delete" in query:
            return "delete-many"
        if method == "GET":
            return "uploads" if "uploads" in query else "location" if "location" in query else "list"
        return "bucket"
    if method == "PUT":
        return "part" if "partNumber" in query else "put"
    if method == "POST":
        return "initiate" if "uploads" in query else "complete" if "uploadId" in query else "post"
    if method == "DELETE":
        return "abort" if "uploadId" in query else "delete"
    if method == "GET" and "uploadId" in query:
        return "parts"
    return method.lower()


class Request:
    """What came by: kind, method, path, query, headers; sizes of both bodies as far as they went, status, times, the rule that hit it."""

    def __init__(self, method, target, headers):
        self.method, self.target, self.headers = method, target, headers
        path, _, query = target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        self.kind = kind_of(method, self.path, self.query)
        self.size_in = self.size_out = 0
        self.status = None
        self.began, self.answered, self.ended, self.rule = time.monotonic(), None, None, None

    def __repr__(self):
        took = f"{self.ended - self.began:.3f} s" if self.ended else "open"
        return f"<{self.kind} {self.target} in {self.size_in} out {self.size_out} status {self.status} {took}{' HIT' if self.rule else ''}>"


class Rule:
    def __init__(self, kind, path=None, query=None, nth=None, times=None, when=None, **what):
        self.kind, self.path, self.query, self.when, self.times, self.what = kind, path, query or {}, when, times, what
        self.nth = None if nth is None else {nth} if isinstance(nth, int) else set(nth)
        self.seen = self.hits = 0
        unknown = set(what) - {"cut_request", "cut_response", "rst", "drop_answer", "answer", "delay", "stall_request", "stall_response",
                               "truncate", "flip_request", "flip_response", "rate", "hook", "hang_up"}
        assert not unknown, unknown

    def matches(self, r):
        if self.kind and not re.fullmatch(self.kind, r.kind):
            return False
        if self.path and not re.search(self.path, r.path):
            return False
        if any(k not in r.query or (v is not None and r.query[k] != str(v)) for k, v in self.query.items()):
            return False
        if self.when and not self.when(r):
            return False
        self.seen += 1
        if (self.nth is not None and self.seen not in self.nth) or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class Broken(Exception):
    """The connection is to end here."""


def offset(n, size):
    if n is None:
        return None
    if isinstance(n, float) and 0 < n < 1:
        return int((size or 0) * n)
    return int(n) if n >= 0 else max((size or 0) + int(n), 0)


class Proxy:
    def __init__(self, endpoint, tight=False, ipv6=False):
        """tight: what a client has sent is soon known to be on its way, for tests of slowness.  ipv6: it is at ::1."""
        u = urllib.parse.urlsplit(endpoint)
        assert u.scheme == "http", "the proxy reads along: plain http"
        self.upstream = (u.hostname, u.port or 80)
        self.requests, self.rules = [], []
        self.connections, self.open, self.is_down, self.tight, self.ipv6 = 0, set(), False, tight, ipv6
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    # -- for the test

    def __enter__(self):
        self.thread.start()
        self.listen = asyncio.run_coroutine_threadsafe(self.begin(), self.loop).result(10)
        self.port = self.listen.sockets[0].getsockname()[1]
        self.endpoint = f"http://{'[::1]' if self.ipv6 else '127.0.0.1'}:{self.port}"
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def on(self, kind=None, **more):
        """The first rule that matches a request is done to it."""
        rule = Rule(kind, **more)
        self.rules.append(rule)
        return rule

    def calm(self):
        """No rules, nothing seen."""
        self.rules, self.requests = [], []

    def down(self, yes=True):
        """Every connection is reset, present and future ones."""
        self.is_down = yes
        if yes:
            self.loop.call_soon_threadsafe(lambda: [slam(w, True) for w in list(self.open)])

    def seen(self, kind=None, path=None):
        return [r for r in list(self.requests) if (not kind or re.fullmatch(kind, r.kind)) and (not path or re.search(path, r.path))]

    def hits(self):
        return sum(r.hits for r in self.rules)

    def peak(self, kind):
        """How many of these had been asked and not answered at once, at most."""
        edges = []
        for r in self.seen(kind):
            edges += [(r.began, 1), (r.answered or r.ended or float("inf"), -1)]
        most = now = 0
        for _, step in sorted(edges):
            now += step
            most = max(most, now)
        return most

    # -- the work

    async def begin(self):
        s = socket.socket(socket.AF_INET6 if self.ipv6 else socket.AF_INET)
        if self.tight:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        s.bind(("::1" if self.ipv6 else "127.0.0.1", 0))
        return await asyncio.start_server(self.serve, sock=s, limit=PIECE if self.tight else 1 << 18, backlog=256)

    async def end(self):
        self.listen.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for t in tasks:
            t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        if self.is_down:
            return slam(writer, True)
        self.connections += 1
        self.open.add(writer)
        up = None
        try:
            while True:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except (asyncio.IncompleteReadError, ConnectionError):
                    return
                first, headers = parse(head)
                method, target, _ = first.split(" ", 2)
                r = Request(method, target, headers)
                self.requests.append(r)
                r.rule = next((rule for rule in self.rules if rule.matches(r)), None)
                try:
                    up = await self.exchange(r, head, reader, writer, up)
                finally:
                    r.ended = time.monotonic()
                if up == "closed":
                    return
        except Broken as how:
            slam(writer, how.args[0] == "rst")
        except (ConnectionError, asyncio.IncompleteReadError):
            slam(writer, False)
        except asyncio.CancelledError:
            pass
        finally:
            self.open.discard(writer)
            if isinstance(up, tuple):
                up[1].transport.abort()
            if not writer.transport.is_closing():
                writer.close()

    async def exchange(self, r, head, reader, writer, up):
        """One request and its answer; the connection to the server that may serve the next one."""
        what = r.rule.what if r.rule else {}
        end = "rst" if what.get("rst") else "fin"
        size = int(r.headers["content-length"]) if "content-length" in r.headers else None
        chunked = "chunked" in r.headers.get("transfer-encoding", "").lower()
        if what.get("hook"):
            await asyncio.to_thread(what["hook"], r)
        if what.get("delay"):
            await asyncio.sleep(what["delay"])
        if what.get("answer"):
            if r.headers.get("expect", "").lower() == "100-continue" and size:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async for piece in body(reader, size, chunked):
                r.size_in += len(piece)
            await answer(r, writer, *what["answer"])
            return up
        if not isinstance(up, tuple):
            up = await asyncio.open_connection(*self.upstream, limit=1 << 18)
        up_reader, up_writer = up
        sending = None
        try:
            up_writer.write(head)
            sending = asyncio.ensure_future(self.send(r, reader, up_writer, size, chunked, what))
            getting = asyncio.ensure_future(self.receive(r, up_reader, writer, what, sending))
            waited = {sending, getting}
            while getting in waited:
                done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task.exception():
                        for other in (sending, getting):
                            other.cancel()
                        await asyncio.gather(sending, getting, return_exceptions=True)
                        raise Broken(end) if isinstance(task.exception(), Broken) else task.exception()
            keep = getting.result()
            if not sending.done():
                await asyncio.wait([sending], timeout=1)
            if not sending.done():          # answered before all was sent: the rest is nobody's
                sending.cancel()
                return self.done_with(up, writer)
            return up if keep and not what.get("hang_up") else self.done_with(up, writer)
        except BaseException:
            if sending:
                sending.cancel()
            up_writer.transport.abort()
            raise

    def done_with(self, up, writer):
        up[1].transport.abort()
        writer.close()
        return "closed"

    async def send(self, r, reader, out, size, chunked, what):
        cut, flip = offset(what.get("cut_request"), size), offset(what.get("flip_request"), size)
        stall, seconds = what.get("stall_request", (None, None))
        stall = offset(stall, size)
        if cut == 0:
            await out.drain()
            raise Broken
        if stall == 0:
            await asyncio.sleep(FOREVER if seconds is None else seconds)
            stall = None
        began = time.monotonic()
        async for piece in body(reader, size, chunked):
            at = r.size_in
            piece = flipped(piece, flip, at)
            if cut is not None and at + len(piece) > cut:
                out.write(piece[:cut - at])
                r.size_in = cut
                await out.drain()
                await asyncio.sleep(0.02)       # let it arrive
                raise Broken
            if stall is not None and at + len(piece) > stall:
                out.write(piece[:stall - at])
                piece, r.size_in, at, stall = piece[stall - at:], stall, stall, None
                await out.drain()
                await asyncio.sleep(FOREVER if seconds is None else seconds)
            out.write(piece)
            r.size_in += len(piece)
            await out.drain()
            await pace(began, r.size_in, what.get("rate"))

    async def receive(self, r, reader, out, what, sending):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            first, headers = parse(head)
            status = int(first.split(" ", 2)[1])
            if status != 100:
                break
            out.write(head)
        r.status, r.answered = status, time.monotonic()
        size = int(headers["content-length"]) if "content-length" in headers else None
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        empty = r.method == "HEAD" or status in (204, 304)
        if what.get("drop_answer"):
            raise Broken
        cut, flip = offset(what.get("cut_response"), size), offset(what.get("flip_response"), size)
        stall, seconds = what.get("stall_response", (False, None))
        if stall is None:
            await asyncio.sleep(FOREVER if seconds is None else seconds)
        stall = None if stall is False or stall is None else offset(stall, size)
        most = None
        if "truncate" in what and not empty:
            if chunked:     # gets a length, and that one is right
                whole = b"".join([piece async for piece in unchunked(reader)])
                reader, size, chunked = asyncio.StreamReader(), len(whole), False
                reader.feed_data(whole)
                reader.feed_eof()
            most = offset(what["truncate"], size)
            head = re.sub(rb"(?i)\r\n(content-length|transfer-encoding):[^\r]*", b"", head)[:-2] + b"Content-Length: %d\r\n\r\n" % most
        out.write(head)
        if cut == 0:
            await out.drain()
            raise Broken
        began, at, sent = time.monotonic(), 0, 0
        if not empty:
            until_close = size is None and not chunked
            async for piece in body(reader, size, chunked, until_close):
                piece = flipped(piece, flip, at)
                if cut is not None and at + len(piece) > cut:
                    out.write(piece[:cut - at])
                    r.size_out = cut
                    await out.drain()
                    raise Broken
                if stall is not None and at + len(piece) > stall:
                    out.write(piece[:stall - at])
                    piece, at, stall = piece[stall - at:], stall, None
                    await out.drain()
                    await asyncio.sleep(FOREVER if seconds is None else seconds)
                at += len(piece)
                if most is not None:
                    piece = piece[:max(most - sent, 0)]
                out.write(piece)
                sent += len(piece)
                r.size_out = sent
                await out.drain()
                await pace(began, sent, what.get("rate"))
            if until_close:
                await out.drain()
                return False
        await out.drain()
        return "close" not in headers.get("connection", "").lower()


def parse(head):
    lines = head.decode("latin-1").split("\r\n")
    return lines[0], {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}


async def body(reader, size, chunked, until_close=False):
    """The body's bytes as they travel; of a chunked one with its framing."""
    if chunked:
        while True:
            line = await reader.readuntil(b"\r\n")
            yield line
            left = int(line.split(b";")[0], 16)
            if left == 0:
                while True:
                    line = await reader.readuntil(b"\r\n")
                    yield line
                    if line == b"\r\n":
                        return
            left += 2
            while left:
                piece = await reader.read(min(left, PIECE))
                if not piece:
                    raise ConnectionResetError
                left -= len(piece)
                yield piece
    elif until_close:
        while True:
            piece = await reader.read(PIECE)
            if not piece:
                return
            yield piece
    else:
        left = size or 0
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece


async def unchunked(reader):
    while True:
        left = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if left:
            yield await reader.readexactly(left)
            await reader.readexactly(2)
            continue
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return


def flipped(piece, where, at):
    if where is None or not at <= where < at + len(piece):
        return piece
    return piece[:where - at] + bytes([piece[where - at] ^ 1]) + piece[where - at + 1:]


async def pace(began, sent, rate):
    if rate:
        early = sent / rate - (time.monotonic() - began)
        if early > 0:
            await asyncio.sleep(early)


async def answer(r, writer, status, code="", headers=None):
    text = (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>by rule</Message><Resource>{r.path}</Resource>'
            "<RequestId>rule</RequestId></Error>").encode() if r.method != "HEAD" and code else b""
    more = "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
    writer.write(f"HTTP/1.1 {status} By Rule\r\nContent-Type: application/xml\r\nContent-Length: {len(text)}\r\n{more}\r\n".encode() + text)
    r.status = status
    await writer.drain()


def slam(writer, rst):
    if rst:
        s = writer.get_extra_info("socket")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
