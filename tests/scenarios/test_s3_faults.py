"""What goes wrong between s3put, s3get, s3ls and the server: after exit 0 the object decodes to exactly the source, else nothing is visible."""

import hashlib
import json
import re
import time

import pytest

from lib import s3
from lib.faults import Proxy
from lib.rig import wait_for

MIB = s3.MIB


@pytest.fixture
def bucket(rig):
    b = s3.tools(rig)
    b.server.want_plain()
    rig.settings["WALG_S3_MAX_PART_SIZE"] = str(s3.LEAST)
    return b


@pytest.fixture
def proxy(rig, bucket):
    with Proxy(bucket.server.endpoint) as proxy:
        rig.settings["AWS_ENDPOINT"] = proxy.endpoint
        yield proxy
        rig.note(["proxy"], proxy.hits(), "\n".join(map(str, proxy.requests[-60:])))


@pytest.fixture
def slow(rig, bucket):
    with Proxy(bucket.server.endpoint, tight=True) as proxy:
        rig.settings["AWS_ENDPOINT"] = proxy.endpoint
        yield proxy
        rig.note(["proxy"], proxy.hits(), "\n".join(map(str, proxy.requests[-60:])))


SINGLE, STREAM = s3.data(3 * MIB), s3.data(12 * MIB + 5)


def put(rig, bucket, body, *words, status=0, **more):
    return rig.run("s3put", bucket.url("k"), *words, stdin=body, status=status, **more)


def get(rig, bucket, status=0, **more):
    return rig.run("s3get", bucket.url("k"), status=status, text=False, **more)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def is_there(bucket, body):
    assert bucket.sha256("k") == (sha256(body), len(body))


def failed(r, bucket):
    return s3.alone(r, bucket.server.secret)


# ---- cuts

CUTS = [(n, rst) for n in (0, 1, 0.5, -1) for rst in (False, True)]
PUTS = [("put", SINGLE), ("part", STREAM), ("complete", STREAM)]
ALL = [*PUTS, ("initiate", STREAM)]


@pytest.mark.parametrize("kind,body", PUTS, ids=[k for k, _ in PUTS])
@pytest.mark.parametrize("n,rst", CUTS)
def test_a_request_that_is_cut_once_is_sent_again_from_its_start(rig, bucket, proxy, kind, body, n, rst):
    rule = proxy.on(kind, nth=2 if kind == "part" else 1, cut_request=n, rst=rst)
    said = json.loads(put(rig, bucket, body).out)
    assert said["size"] == len(body) and rule.hits >= 1
    is_there(bucket, body)
    assert bucket.uploads() == []
    cut = next(r for r in proxy.requests if r.rule)
    again = [r for r in proxy.seen(kind) if r is not cut and r.target == cut.target and r.status == 200]
    assert kind == "complete" or again, proxy.requests
    assert all(r.size_in == int(r.headers.get("content-length", 0)) for r in again)


@pytest.mark.parametrize("kind,body", PUTS, ids=[k for k, _ in PUTS])
@pytest.mark.parametrize("n", [0, 1, 0.5, -1])
def test_a_request_that_is_always_cut_fails_and_nothing_is_visible(rig, bucket, proxy, kind, body, n):
    rig.settings["S3_MAX_RETRIES"] = "2"
    rule = proxy.on(kind, when=lambda r: kind != "part" or r.query["partNumber"] == "2", cut_request=n)
    r = put(rig, bucket, body, status=(69, 75), timeout=120)
    failed(r, bucket)
    assert r.out == "" and bucket.keys() == [] and rule.hits == 3
    assert bucket.uploads() == []


@pytest.mark.parametrize("kind,body", ALL, ids=[k for k, _ in ALL])
@pytest.mark.parametrize("how", [{"drop_answer": True}, {"drop_answer": True, "rst": True}, {"cut_response": 0}, {"cut_response": 0.5}],
                         ids=["fin", "rst", "head", "half"])
def test_an_answer_that_was_lost_once_costs_nothing(rig, bucket, proxy, kind, body, how):
    """A second COMPLETE may meet 404: it was done."""
    for words in ([], ["--create-only"]):
        proxy.calm()
        rule = proxy.on(kind, nth=1, **how)
        said = json.loads(put(rig, bucket, body, *words).out)
        assert said["size"] == len(body) and rule.hits == 1
        is_there(bucket, body)
        bucket.delete("k")
    assert len(bucket.uploads()) <= (2 if kind == "initiate" else 0)     # one that nobody knows the name of


@pytest.mark.parametrize("kind,body", ALL, ids=[k for k, _ in ALL])
def test_an_answer_that_is_always_lost_leaves_a_whole_object_or_none(rig, bucket, proxy, kind, body):
    rig.settings["S3_MAX_RETRIES"] = "1"
    proxy.on(kind, drop_answer=True)
    r = put(rig, bucket, body, status=None)
    if r.status == 0 or bucket.head("k"):
        is_there(bucket, body)
    if r.status:
        failed(r, bucket)
        assert r.status in (69, 75) and r.out == ""


@pytest.mark.parametrize("n,rst", CUTS)
def test_a_get_that_is_cut_goes_on_where_it_was(rig, bucket, proxy, n, rst):
    bucket.put("k", STREAM)
    proxy.on("get", nth=1, cut_response=n, rst=rst)
    assert get(rig, bucket).out == STREAM
    first, *others = proxy.seen("get")
    # all of it, by a range that says how long it is (a body that is short under a right length would not be noticed else)
    assert others and first.headers["range"] == "bytes=0-" and "if-match" not in first.headers
    if first.size_out:
        begins = int(re.match(r"bytes=(\d+)-", others[0].headers["range"]).group(1))
        assert 0 <= begins <= first.size_out
        assert others[0].headers["if-match"].strip('"') == bucket.head("k")["ETag"].strip('"')
        assert sum(r.size_out for r in others) < len(STREAM) or n == 1


def test_a_get_that_is_cut_again_and_again_arrives_as_long_as_it_moves(rig, bucket, proxy):
    rig.settings["S3_MAX_RETRIES"] = "3"
    bucket.put("k", STREAM)
    rule = proxy.on("get", times=12, cut_response=MIB)
    assert get(rig, bucket, timeout=170).out == STREAM
    assert rule.hits == 12


@pytest.mark.parametrize("n", [0, 1, 0.5, -1])
def test_a_get_that_is_always_cut_fails(rig, bucket, proxy, n):
    """(Where each try brings something, it moves.)"""
    rig.settings["S3_MAX_RETRIES"] = "2"
    bucket.put("k", SINGLE)
    proxy.on("get", nth=1, cut_response=n)
    proxy.on("get", cut_response=0)
    r = get(rig, bucket, status=(69, 75))
    failed(r, bucket)
    assert SINGLE.startswith(r.out) and r.out != SINGLE


def test_an_object_that_is_replaced_in_between_is_never_mixed(rig, bucket, proxy):
    other = s3.data(len(STREAM), 9)
    bucket.put("k", STREAM)
    proxy.on("get", nth=1, cut_response=0.5)
    proxy.on("get", times=1, hook=lambda _: bucket.put("k", other))
    r = get(rig, bucket, status="fail")
    line = failed(r, bucket)
    assert r.status in (65, 75), line
    assert STREAM.startswith(r.out)


def test_an_object_that_is_removed_in_between_fails(rig, bucket, proxy):
    bucket.put("k", STREAM)
    proxy.on("get", nth=1, cut_response=0.5)
    proxy.on("get", times=1, hook=lambda _: bucket.delete("k"))
    r = get(rig, bucket, status="fail")
    failed(r, bucket)
    assert STREAM.startswith(r.out)


# ---- bytes that are bent

@pytest.mark.parametrize("kind,body", [("put", SINGLE), ("part", STREAM), ("complete", STREAM)])
@pytest.mark.parametrize("n", [0, 0.5, -1])
def test_a_bit_that_flips_on_its_way_there_is_not_stored(rig, bucket, proxy, kind, body, n):
    rule = proxy.on(kind, nth=1, flip_request=n)
    r = put(rig, bucket, body, status=None)
    assert rule.hits == 1
    if r.status == 0:
        is_there(bucket, body)
    else:
        failed(r, bucket)
        assert bucket.keys() == [] and bucket.uploads() == []


@pytest.mark.parametrize("n", [0, 0.5, -1])
def test_a_bit_that_flips_on_its_way_back_is_65(rig, bucket, proxy, n):
    put(rig, bucket, SINGLE, "--digest")
    proxy.on("get", nth=1, flip_response=n)
    r = get(rig, bucket, status=None)
    assert r.status == 65 or (r.status == 0 and r.out == SINGLE), r.err
    if r.status:
        failed(r, bucket)


@pytest.mark.parametrize("n", [0, 1, 0.5, -1])
@pytest.mark.parametrize("body", [SINGLE, STREAM], ids=["single", "stream"])
def test_a_body_cut_short_under_a_right_length_is_noticed(rig, bucket, proxy, body, n):
    put(rig, bucket, body)
    rule = proxy.on("get", nth=1, truncate=n)
    r = get(rig, bucket, status=None)
    assert rule.hits == 1 and body.startswith(r.out)
    if r.status == 0:
        assert r.out == body
    else:
        failed(r, bucket)
        assert r.status in (65, 69, 75)


# ---- lists

def test_a_list_that_is_not_whole_is_not_shown_as_one(rig, bucket, proxy):
    names = [f"{i:04}" for i in range(1100)]
    bucket.put_many(names)
    rig.settings["S3_MAX_RETRIES"] = "2"
    for how in ({"answer": (500, "InternalError")}, {"answer": (403, "AccessDenied")}, {"cut_response": 0.5}, {"truncate": 0.5}, {"cut_request": 0}, {"drop_answer": True}):
        for nth in (1, 2):
            proxy.calm()
            # the pages after the first are always harmed, or the first one is
            proxy.on("list", nth=None if nth == 1 else range(2, 100), **how)
            r = rig.run("s3ls", bucket.url(), status="fail")
            assert r.status in (65, 69, 75, 77), (how, nth, r)
            failed(r, bucket)
            assert r.lines in ([], names[:1000]), (how, nth)
    for how in ({"answer": (503, "SlowDown")}, {"cut_response": 0.5}, {"cut_request": 0}, {"drop_answer": True}):
        for nth in (1, 2):
            proxy.calm()
            rule = proxy.on("list", nth=nth, **how)
            assert rig.run("s3ls", bucket.url()).lines == names
            assert rule.hits == 1


def test_a_removal_whose_answer_was_lost_is_done_again(rig, bucket, proxy):
    for how in ({"drop_answer": True}, {"cut_response": 0.5}, {"cut_request": 0.5}, {"answer": (503, "SlowDown")}, {"answer": (500, "InternalError")}):
        bucket.put_many([f"{i}" for i in range(20)])
        proxy.calm()
        rule = proxy.on("delete.*", nth=1, **how)
        rig.run("s3rm", bucket.url(), stdin="".join(f"{i}\n" for i in range(19)))
        assert rule.hits == 1 and bucket.keys() == ["19"]
    proxy.calm()
    rig.settings["S3_MAX_RETRIES"] = "2"
    proxy.on("delete.*", answer=(500, "InternalError"))
    failed(rig.run("s3rm", bucket.url(), stdin="19\n", status=(69, 75)), bucket)
    assert bucket.keys() == ["19"]


# ---- words of the server

BUSY = [(503, "SlowDown"), (503, "ServiceUnavailable"), (500, "InternalError"), (429, "TooManyRequests"), (400, "RequestTimeout"), (502, ""), (504, "")]


@pytest.mark.parametrize("status,code", BUSY)
def test_a_server_that_is_busy_is_asked_again(rig, bucket, proxy, status, code):
    proxy.on("put|part|initiate|complete|get|head|list", nth=(1, 2), answer=(status, code))
    put(rig, bucket, SINGLE)
    is_there(bucket, SINGLE)
    assert proxy.hits() == 2
    for rule_of, what in (("part|initiate|complete", lambda: put(rig, bucket, STREAM)), ("get", lambda: get(rig, bucket))):
        proxy.calm()
        proxy.on(rule_of, nth=(1, 3), answer=(status, code))
        r = what()
        assert proxy.hits() >= 1
        assert rule_of != "get" or r.out == STREAM
        is_there(bucket, STREAM)
    assert bucket.uploads() == []


@pytest.mark.parametrize("status,code", [(503, "SlowDown"), (500, "InternalError"), (429, "")])
def test_a_server_that_is_always_busy_is_75(rig, bucket, proxy, status, code):
    rig.settings["S3_MAX_RETRIES"] = "2"
    proxy.on(answer=(status, code))
    for words, stdin, kind in ((["s3put", bucket.url("k")], SINGLE, "put"), (["s3get", bucket.url("k")], None, "get"), (["s3ls", bucket.url()], None, "list"),
                               (["s3rm", bucket.url()], "k\n", "delete.*"), (["s3put", bucket.url("k")], STREAM, "initiate")):
        proxy.requests.clear()
        r = rig.run(*words, stdin=stdin, status=(69, 75) if status == 500 else 75, timeout=120)
        line = failed(r, bucket)
        assert str(status) in line and "3 times" in line, line
        assert len(proxy.seen(kind)) == 3


@pytest.mark.parametrize("status,code", [(503, "SlowDown"), (429, "TooManyRequests")])
def test_it_waits_as_long_as_the_server_asks(rig, bucket, proxy, status, code):
    bucket.put("there", SINGLE)
    for words, stdin, kind in ((["s3put", bucket.url("k")], SINGLE, "put"), (["s3get", bucket.url("there")], None, "get"), (["s3ls", bucket.url()], None, "list")):
        proxy.calm()
        proxy.on(kind, nth=1, answer=(status, code, {"Retry-After": "3"}))
        rig.run(*words, stdin=stdin, text=False)
        first, second = proxy.seen(kind)
        assert second.began - first.ended >= 2.9
    proxy.calm()
    proxy.on("part", nth=1, answer=(status, code, {"Retry-After": "3"}))
    put(rig, bucket, STREAM)
    refused = next(r for r in proxy.seen("part") if r.rule)
    again = next(r for r in proxy.seen("part") if r.target == refused.target and r is not refused)
    assert again.began - refused.ended >= 2.9
    is_there(bucket, STREAM)


def test_it_waits_longer_each_time(rig, bucket, proxy):
    rig.settings["S3_MAX_RETRIES"] = "5"
    proxy.on("put", answer=(503, "SlowDown"))
    r = put(rig, bucket, SINGLE, status=75)
    failed(r, bucket)
    seen = proxy.seen("put")
    gaps = [b.began - a.ended for a, b in zip(seen, seen[1:])]
    assert len(gaps) == 5 and sum(gaps) > 1, gaps


@pytest.mark.parametrize("status,code,exits", [(403, "AccessDenied", 77), (400, "InvalidArgument", None), (501, "NotImplemented", None), (405, "MethodNotAllowed", None),
                                               (404, "NoSuchBucket", 66), (301, "PermanentRedirect", None)])
def test_what_will_not_change_is_not_asked_again(rig, bucket, proxy, status, code, exits):
    proxy.on("put|get", answer=(status, code))
    for words, stdin in ((["s3put", bucket.url("k")], SINGLE), (["s3get", bucket.url("k")], None)):
        proxy.requests.clear()
        r = rig.run(*words, stdin=stdin, status=exits if exits else "fail")
        failed(r, bucket)
        assert len(proxy.seen("put|get")) <= 2
        assert r.status in (65, 66, 69, 77, 78), r


def test_a_create_only_put_whose_name_was_taken_meanwhile_is_73(rig, bucket, proxy):
    for body in (SINGLE, STREAM):
        proxy.calm()
        proxy.on("put|complete", nth=1, hook=lambda _: bucket.put("k", b"theirs"))
        r = put(rig, bucket, body, "--create-only", status=(0, 73) if bucket.server.ceph else (0, 73, 75))
        # where the server looks at If-None-Match on PUT only, a stream may still replace what came in the last moment;
        # where it does not look at all, anything may
        assert r.status == 73 or body is STREAM or not bucket.server.ceph
        if r.status:
            failed(r, bucket)
            assert bucket.get("k") == b"theirs"
        else:
            is_there(bucket, body)
        bucket.delete("k")
        assert bucket.uploads() == []


def test_a_conflict_of_two_creates_is_asked_again(rig, bucket, proxy):
    for body, kind in ((SINGLE, "put"), (STREAM, "complete")):
        proxy.calm()
        rule = proxy.on(kind, nth=1, answer=(409, "ConditionalRequestConflict"))
        put(rig, bucket, body, "--create-only")
        is_there(bucket, body)
        assert rule.hits == 1
        bucket.delete("k")


# ---- nothing comes, or slowly

def test_what_stalls_is_given_up_and_asked_again(rig, bucket, proxy):
    rig.settings["WALPIPE_S3_TIMEOUT"] = "2"
    big = s3.data(19 * MIB)
    rig.settings["WALG_S3_MAX_PART_SIZE"] = str(s3.PART)
    for kind, how in (("put", {"stall_request": (0, None)}), ("put", {"stall_request": (0.5, None)}), ("put", {"stall_response": (None, None)}),
                      ("get", {"stall_response": (None, None)}), ("get", {"stall_response": (0, None)}), ("get", {"stall_response": (0.5, None)})):
        proxy.calm()
        if kind == "get":
            bucket.put("k", big)
        rule = proxy.on(kind, nth=1, **how)
        r = put(rig, bucket, big) if kind == "put" else get(rig, bucket)
        assert rule.hits == 1 and len(proxy.seen(kind)) >= 2, (kind, how)
        assert kind == "put" or r.out == big, how
        is_there(bucket, big)
        bucket.delete("k")


def test_what_always_stalls_is_75_in_bounded_time(rig, bucket, proxy):
    rig.settings.update(WALPIPE_S3_TIMEOUT="2", S3_MAX_RETRIES="2")
    bucket.put("there", STREAM)
    proxy.on("part", stall_request=(0.5, None))
    proxy.on("list|get", stall_response=(None, None))
    for words, stdin in ((["s3put", bucket.url("k")], STREAM), (["s3get", bucket.url("there")], None), (["s3ls", bucket.url()], None)):
        r = rig.run(*words, stdin=stdin, status=75, timeout=60)
        failed(r, bucket)
        assert r.out == ""
    assert bucket.keys() == ["there"]


def test_what_is_slow_but_moves_is_not_cut(rig, bucket, slow):
    """Twice the time that is allowed without progress."""
    rig.settings.update(WALPIPE_S3_TIMEOUT="5", WALG_S3_MAX_PART_SIZE=str(s3.PART))
    big = s3.data(s3.PART - 1)
    slow.on("put|get", rate=2 * MIB)
    began = time.monotonic()
    put(rig, bucket, big)
    assert time.monotonic() - began > 8 and len(slow.seen("put")) == 1
    is_there(bucket, big)
    assert get(rig, bucket).out == big
    assert len(slow.seen("get")) == 1


def test_a_connection_that_ended_between_requests_is_no_fault(rig, bucket, proxy):
    """Keep-alive is a promise that a server may break."""
    rig.settings["S3_MAX_RETRIES"] = "3"
    proxy.on(hang_up=True)
    put(rig, bucket, STREAM)
    is_there(bucket, STREAM)
    bucket.put_many([f"n/{i:04}" for i in range(1001)])
    assert len(rig.run("s3ls", bucket.url("n/")).lines) == 1001
    rig.run("s3rm", bucket.url("n/"), stdin="".join(f"{i:04}\n" for i in range(1001)))
    assert bucket.keys() == ["k"]


def test_a_server_that_comes_back_costs_nothing(rig, bucket, proxy):
    rig.settings["S3_MAX_RETRIES"] = "15"
    proxy.on("part", nth=2, hook=lambda _: (proxy.down(), time.sleep(1)))
    p = rig.spawn("s3put", bucket.url("k"), stdin=open(rig.write("in", STREAM), "rb"), stderr=open(rig.dir / "err", "wb"))
    wait_for(lambda: proxy.is_down, 30)
    time.sleep(1.5)
    proxy.down(False)
    assert p.wait(120) == 0, (rig.dir / "err").read_text()
    is_there(bucket, STREAM)
    assert bucket.uploads() == []


# ---- limits

@pytest.mark.parametrize("n", [1, 2, 3, None])
def test_parts_in_flight_are_bounded(rig, bucket, proxy, n):
    if n:
        rig.settings["WALG_UPLOAD_CONCURRENCY"] = str(n)
    proxy.on("part", delay=0.3)
    body = s3.data(42 * MIB)
    put(rig, bucket, body)
    is_there(bucket, body)
    assert len(proxy.seen("part")) == 9
    assert proxy.peak("part") <= (n or 4), proxy.requests
    assert n == 1 or proxy.peak("part") > 1, "parts go one by one"


def test_throttling_does_not_hurt_many_parts(rig, bucket, proxy):
    proxy.on("part", nth=range(2, 30, 3), answer=(503, "SlowDown"))
    body = s3.data(52 * MIB)
    put(rig, bucket, body)
    is_there(bucket, body)
    assert len({r.query["partNumber"] for r in proxy.seen("part")}) == 11 and proxy.hits() >= 3


@pytest.mark.parametrize("verb", ["put", "put-stream", "get"])
def test_the_rate_limit_holds(rig, bucket, proxy, verb):
    """No more than the limit and what a second's burst may be."""
    rig.settings["WALG_NETWORK_RATE_LIMIT"] = str(4 * MIB)
    body = s3.data(4 * MIB if verb == "put" else 20 * MIB)
    if verb == "put":
        rig.settings["WALG_NETWORK_RATE_LIMIT"] = str(MIB)
    bucket.put("k", body)
    began = time.monotonic()
    if verb == "get":
        assert get(rig, bucket).out == body
    else:
        put(rig, bucket, body)
        is_there(bucket, body)
    took = time.monotonic() - began
    assert took >= (2.5 if verb == "put" else 3.5), took
