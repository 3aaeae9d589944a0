"""What the S3 scenarios rely on: the server that is asked from outside, the proxy that does harm, and that both are gone afterwards."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time

import pytest

from lib import ceph, s3
from lib.faults import Proxy
from lib.rig import wait_for


@pytest.fixture
def bucket(rig):
    return s3.bucket(rig)


@pytest.fixture
def proxy(bucket):
    bucket.server.want_plain()
    with Proxy(bucket.server.endpoint) as proxy:
        yield proxy


def fails(what, *words, **more):
    from botocore.exceptions import BotoCoreError, ClientError
    try:
        return "done", what(*words, **more)
    except (BotoCoreError, ClientError, OSError) as e:
        return "failed", str(e)


def test_a_bucket_keeps_what_it_is_given(bucket):
    odd = "a+b c%2B ü 日本\n?#&='\""
    bucket.put(odd, b"text")
    assert bucket.get(odd) == b"text" and bucket.get("absent") is None and bucket.head("absent") is None
    assert bucket.keys() == [odd] and bucket.uploads() == []
    upload = bucket.client.create_multipart_upload(Bucket=bucket.name, Key="big")["UploadId"]
    bucket.client.upload_part(Bucket=bucket.name, Key="big", UploadId=upload, PartNumber=1, Body=b"x")
    assert bucket.uploads() == [("big", upload)] and bucket.parts("big", upload) == [1] and bucket.get("big") is None


def test_a_wrong_secret_and_a_stranger_are_refused(bucket):
    bucket.put("k", b"x")
    wrong = bucket.server.client(secret="wrong")
    assert "403" in fails(wrong.head_object, Bucket=bucket.name, Key="k")[1]
    bucket.server.want_ceph("a second user")
    other = bucket.server.client(key=ceph.OTHER_KEY, secret=ceph.OTHER_SECRET)
    assert "AccessDenied" in fails(other.put_object, Bucket=bucket.name, Key="k", Body=b"y")[1]
    assert bucket.get("k") == b"x"


def test_the_proxy_changes_nothing_without_a_rule(bucket, proxy):
    through = bucket.server.client(proxy.endpoint)
    body = s3.data(3 * s3.MIB)
    through.put_object(Bucket=bucket.name, Key="k + ü", Body=body)
    assert bucket.get("k + ü") == body
    assert through.get_object(Bucket=bucket.name, Key="k + ü")["Body"].read() == body
    assert [(r.kind, r.status) for r in proxy.requests] == [("put", 200), ("get", 200)]
    wait_for(lambda: all(r.ended for r in proxy.requests), 10, why="the proxy has heard the end")
    assert proxy.seen("put")[0].size_in == proxy.seen("get")[0].size_out == len(body)
    assert proxy.connections == 1


@pytest.mark.parametrize("rst", [False, True])
@pytest.mark.parametrize("n", [0, 1, 0.5, -1])
def test_the_proxy_cuts_where_it_is_told(bucket, proxy, n, rst):
    body = s3.data(s3.MIB)
    bucket.put("there", body)
    at = {0: 0, 1: 1, 0.5: s3.MIB // 2, -1: s3.MIB - 1}[n]
    through = bucket.server.client(proxy.endpoint)
    proxy.on("put", times=1, cut_request=n, rst=rst)
    through.put_object(Bucket=bucket.name, Key="k", Body=body)      # boto3 tries again
    first, second = proxy.seen("put")
    assert (first.size_in, first.status, second.size_in, second.status) == (at, None, s3.MIB, 200)
    proxy.calm()
    proxy.on("get", cut_response=n, rst=rst)
    assert fails(through.get_object(Bucket=bucket.name, Key="there")["Body"].read)[0] == "failed"
    assert proxy.seen("get")[0].size_out == at


def test_the_proxy_answers_stalls_bends_and_slows(bucket, proxy):
    body = s3.data(s3.MIB)
    bucket.put("k", body)
    through = bucket.server.client(proxy.endpoint)

    def got():
        return through.get_object(Bucket=bucket.name, Key="k")["Body"].read()
    proxy.on("get", nth=1, truncate=1000)
    proxy.on("get", nth=1, flip_response=10)        # a rule counts what reaches it
    proxy.on("get", nth=1, stall_response=(0.5, 0.5))
    proxy.on("get", nth=1, rate=2 * s3.MIB)
    proxy.on("get", nth=range(1, 3), answer=(503, "SlowDown", {"Retry-After": 1}))
    assert got() == body[:1000]
    bent = got()
    assert [i for i in range(s3.MIB) if bent[i] != body[i]] == [10]
    for least in (0.5, 0.45, 0):
        began = time.monotonic()
        assert got() == body
        assert time.monotonic() - began >= least
    assert [r.status for r in proxy.seen("get")] == [200] * 4 + [503, 503, 200]
    proxy.calm()
    proxy.on("put", flip_request=7)
    assert fails(through.put_object, Bucket=bucket.name, Key="new", Body=body)[0] == "failed"
    assert bucket.get("new") is None
    proxy.calm()
    proxy.on("put", nth=1, drop_answer=True)
    proxy.on("put", nth=1, when=lambda _: bucket.get("twice") == b"y", answer=(200,))
    through.put_object(Bucket=bucket.name, Key="twice", Body=b"y")
    assert [r.size_in for r in proxy.seen("put")] == [1, 1] and proxy.hits() == 2
    proxy.calm()
    proxy.on("head", delay=0.3)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: through.head_object(Bucket=bucket.name, Key="k"), range(8)))
    assert proxy.peak("head") == 4
    proxy.calm()
    proxy.on("head", nth=1, hang_up=True)
    before = proxy.connections
    for _ in range(3):
        through.head_object(Bucket=bucket.name, Key="k")
    assert proxy.connections >= before
    proxy.down()
    assert fails(through.head_object, Bucket=bucket.name, Key="k")[0] == "failed"
    proxy.down(False)
    through.head_object(Bucket=bucket.name, Key="k")


def test_ceph_is_shared_by_who_runs_at_once_and_ends_with_the_last_however_it_ends(tmp_path):
    """kill -9 of all who used it, and the keeper ends it."""
    if ceph.missing():
        s3.server()         # skips, or fails where it is required
    env = {**os.environ, "WALPIPE_TEST_DIR": str(tmp_path), "PYTHONPATH": os.path.dirname(os.path.dirname(s3.__file__))}
    env.pop("WALPIPE_TEST_S3_ENDPOINT", None)
    use = "from lib import ceph; import sys; print(ceph.acquire()['http'], flush=True); sys.stdin.read()"

    def user():
        return subprocess.Popen([sys.executable, "-c", use], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ours():
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if f"WALPIPE_TEST_DIR={tmp_path}".encode() in f.read().split(b"\0") and ceph.born(pid):
                        found.append(int(pid))
            except OSError:
                pass
        return found
    first, second = user(), user()
    where = {first.stdout.readline(), second.stdout.readline()}
    assert len(where) == 1, where
    first.stdin.close()
    assert first.wait(60) == 0
    third = user()
    assert third.stdout.readline() in where
    for p in (second, third):
        p.send_signal(signal.SIGKILL)
        p.wait()
    wait_for(lambda: not ours(), 30, 0.1, why="the end of Ceph")
    assert sorted(f.name.rpartition(".")[2] for f in tmp_path.iterdir()) == ["alive", "lock"]
