#!/usr/bin/env python3
"""An S3 server for tests, seen from outside by boto3: Ceph RGW of our own, or the one that the environment names.

WALPIPE_TEST_S3_ENDPOINT (http://… or https://…), WALPIPE_TEST_S3_ACCESS_KEY_ID, WALPIPE_TEST_S3_SECRET_ACCESS_KEY,
WALPIPE_TEST_S3_REGION, WALPIPE_TEST_S3_STYLE=path|host and WALPIPE_TEST_S3_CA name another; what only our Ceph has is
then skipped aloud.

    s3.py install       fetch boto3 and moto where there are none
    s3.py               say what is there
"""

import atexit
import concurrent.futures
import hashlib
import importlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
from secrets import token_hex

HERE = pathlib.Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

from lib import ceph  # noqa: E402

CACHE = pathlib.Path(os.environ.get("WALPIPE_TEST_CACHE", "/var/tmp/walpipe-tests")) / "s3"
BOTO3 = "boto3>=1.34,<2"
MIB = 1 << 20
PART = 20 * MIB         # WAL-G's default
LEAST = 5 * MIB         # the smallest that the protocol knows


# ---- boto3

def boto3():
    """The client that is not ours; None where there is none."""
    for place in (None, CACHE / "py"):
        if place and place.is_dir() and str(place) not in sys.path:
            sys.path.append(str(place))
            importlib.invalidate_caches()
        try:
            return importlib.import_module("boto3")
        except ImportError:
            pass
    return None


def pip(place, package):
    """Install it into a directory of its own, where everybody may read it; whether that went well is seen by what is there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(place), package], stdin=subprocess.DEVNULL,
                   check=False, env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    subprocess.run(["chmod", "-R", "a+rX", str(place.parent)], check=False)


def install():
    if boto3():
        return True
    pip(CACHE / "py", BOTO3)
    if not boto3() and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "python3-boto3"], stdin=subprocess.DEVNULL,
                       check=False, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return boto3() is not None


# ---- servers

class Server:
    """Where it is, and who we are to it."""

    def __init__(self, endpoint, key, secret, region="us-east-1", style="path", ca=None, ceph=None):      # noqa: F811
        self.endpoint, self.key, self.secret, self.region, self.style, self.ca, self.ceph = endpoint, key, secret, region, style, ca, ceph
        self.clients = {}

    def want_ceph(self, what):
        from . import need
        if not self.ceph:
            need.skip("s3-ceph", f"only our own Ceph has {what}")
        return self.ceph

    def want_plain(self):
        """The fault proxy reads along."""
        from . import need
        if not self.endpoint.startswith("http:"):
            need.skip("s3-http", "the fault proxy stands before plain http only")

    def client(self, endpoint=None, key=None, secret=None, token=None, service="s3", ca=None):
        """boto3's; the same may be used by many threads."""
        which = (endpoint, key, secret, token, service, ca)
        if which not in self.clients:
            from botocore.config import Config
            config = {"signature_version": "s3v4", "retries": {"max_attempts": 2, "mode": "standard"}, "max_pool_connections": 32,
                      "s3": {"addressing_style": "path" if self.style == "path" else "virtual"}}
            if service != "s3":
                del config["signature_version"], config["s3"]
                config["parameter_validation"] = False      # Ceph's tokens may live for a second
            try:
                config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required", **config)
            except TypeError:       # an older one, without
                config = Config(**config)
            self.clients[which] = boto3().session.Session().client(
                service, endpoint_url=endpoint or self.endpoint, region_name=self.region, aws_access_key_id=key or self.key,
                aws_secret_access_key=secret or self.secret, aws_session_token=token, config=config,
                verify=ca or self.ca or None)
        return self.clients[which]

    def settings(self):
        """As a user sets them."""
        out = {"AWS_ENDPOINT": self.endpoint, "AWS_REGION": self.region, "AWS_ACCESS_KEY_ID": self.key, "AWS_SECRET_ACCESS_KEY": self.secret,
               "AWS_S3_FORCE_PATH_STYLE": "true" if self.style == "path" else "false"}
        if self.ca:
            out["WALG_S3_CA_CERT_FILE"] = self.ca
        return out


_server = None
_guard = threading.Lock()


def server():
    """The one of this process; the test is skipped where there is none."""
    from . import need
    global _server
    with _guard:
        if _server is None:
            _server = find()
    if isinstance(_server, str):
        need.skip("s3", _server)
    return _server


def find():
    """A Server, or why there is none."""
    if not boto3():
        return "no boto3 (tests/lib/s3.py install)"
    e = {k.removeprefix("WALPIPE_TEST_S3_"): v for k, v in os.environ.items() if k.startswith("WALPIPE_TEST_S3_")}
    if e.get("ENDPOINT"):
        style = e.get("STYLE", "path")
        assert style in ("path", "host"), "WALPIPE_TEST_S3_STYLE is path or host"
        return Server(e["ENDPOINT"].rstrip("/"), e["ACCESS_KEY_ID"], e["SECRET_ACCESS_KEY"], e.get("REGION", "us-east-1"), style, e.get("CA"))
    try:
        atexit.register(ceph.release)
        about = ceph.acquire()
    except ceph.Failed as why:
        ceph.release()
        return f"no Ceph: {why}"
    return Server(about["http"], ceph.KEY, ceph.SECRET, ceph=about)


# ---- a bucket

class Bucket:
    """A fresh one for a test, by boto3."""

    def __init__(self, rig, server=None, path="", name=None):      # noqa: F811
        self.server = server or globals()["server"]()
        self.client = self.server.client()
        self.name = name or "wpt-" + token_hex(6)
        self.path = path.strip("/")         # where a repository is in it
        where = {} if self.server.region == "us-east-1" or self.server.ceph else {
            "CreateBucketConfiguration": {"LocationConstraint": self.server.region}}
        self.client.create_bucket(Bucket=self.name, **where)
        rig.finalizers.append(self.remove)
        self.rig = rig

    def url(self, key=""):
        return f"s3://{self.name}/{key}"

    @property
    def repository(self):
        return f"s3://{self.name}/{self.path}"

    def put(self, key, data=b"", **more):
        return self.client.put_object(Bucket=self.name, Key=key, Body=data, **more)

    def put_many(self, keys, data=b"", threads=16):
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda k: self.client.put_object(Bucket=self.name, Key=k, Body=data), keys):
                pass

    def get(self, key, **more):
        """The bytes; None when it is absent."""
        try:
            return self.client.get_object(Bucket=self.name, Key=key, **more)["Body"].read()
        except self.client.exceptions.NoSuchKey:
            return None

    def sha256(self, key):
        """Of an object that need not fit in memory; and its size."""
        body, digest, size = self.client.get_object(Bucket=self.name, Key=key)["Body"], hashlib.sha256(), 0
        for piece in body.iter_chunks(1 << 20):
            digest.update(piece)
            size += len(piece)
        return digest.hexdigest(), size

    def head(self, key, **more):
        """None when it is absent."""
        from botocore.exceptions import ClientError
        try:
            return self.client.head_object(Bucket=self.name, Key=key, **more)
        except ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def objects(self, prefix=""):
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix):
            yield from page.get("Contents", [])

    def keys(self, prefix=""):
        return [o["Key"] for o in self.objects(prefix)]

    def delete(self, *keys):
        for i in range(0, len(keys), 1000):
            self.client.delete_objects(Bucket=self.name, Delete={"Objects": [{"Key": k} for k in keys[i:i + 1000]], "Quiet": True})

    def uploads(self):
        """Unfinished ones: [(key, upload id)]."""
        out = []
        for page in self.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name):
            out += [(u["Key"], u["UploadId"]) for u in page.get("Uploads", [])]
        return out

    def parts(self, key, upload):
        return [p["Size"] for page in self.client.get_paginator("list_parts").paginate(Bucket=self.name, Key=key, UploadId=upload)
                for p in page.get("Parts", [])]

    def backups(self):
        """Of a repository: the names whose sentinel is there."""
        under = f"{self.path}/basebackups_005/".lstrip("/")
        found = (re.fullmatch(r"(base_[0-9A-F_D]+)_backup_stop_sentinel\.json", k[len(under):]) for k in self.keys(under))
        return sorted(m.group(1) for m in found if m)

    def mirror(self, dest):
        """The repository as a directory, for readers of directories; what was there before goes."""
        dest = pathlib.Path(dest)
        shutil.rmtree(dest, ignore_errors=True)
        dest.mkdir(parents=True)
        under = self.path + "/" if self.path else ""

        def one(o):
            file = dest / o["Key"][len(under):]
            file.parent.mkdir(parents=True, exist_ok=True)
            body = self.client.get_object(Bucket=self.name, Key=o["Key"])["Body"]
            with open(file, "wb") as f:
                for piece in body.iter_chunks(1 << 20):
                    f.write(piece)
            when = o["LastModified"].timestamp()
            os.utime(file, (when, when))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for _ in pool.map(one, list(self.objects(under))):
                pass
        return dest

    def remove(self):
        """Everything, on a server that lives on; of our own what takes memory only."""
        from botocore.exceptions import BotoCoreError, ClientError
        try:
            for key, upload in self.uploads():
                self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
            large = 0 if not self.server.ceph else 256 << 10
            self.delete(*[o["Key"] for o in self.objects() if o["Size"] >= large])
            if not self.server.ceph:
                self.client.delete_bucket(Bucket=self.name)
        except (BotoCoreError, ClientError) as e:
            if not self.server.ceph:
                print(f"bucket {self.name} is left: {e}", file=sys.stderr)


def bucket(rig, path="", **more):
    """A fresh bucket, the settings of its server, and the plumbing first in PATH."""
    b = Bucket(rig, path=path, **more)
    rig.settings.update(b.server.settings())
    rig.settings["PATH"] = f"{rig.session.stage()}/libexec/walpipe:/usr/bin:/bin:/usr/sbin:/sbin"
    return b


def tools(rig):
    """A fresh bucket for tests of the programs."""
    rig.want_tools("s3put", "s3get", "s3ls", "s3rm")
    return bucket(rig)


def repository(rig, path="walpipe/main"):
    """As rig.repo(), in a bucket: story.archived archives there."""
    b = Bucket(rig, path=path)
    rig.settings.update(b.server.settings())
    rig.settings["WALG_S3_PREFIX"] = b.repository
    rig.settings.pop("WALG_FILE_PREFIX", None)
    rig.bucket = b
    return b


# ---- odds and ends

def alone(result, *secrets):
    """One clear line and at most one hint on stderr, nothing that should not be read there."""
    lines = [line for line in result.err.splitlines() if line.strip()]
    hints = [line for line in lines if "HINT:" in line]
    assert len(hints) <= 1 and len(lines) == len(hints) + 1, result.err
    assert lines[0].startswith(os.path.basename(result.argv[0]) + ": ") and "HINT" not in lines[0], result.err
    clean(result.err, *secrets)
    return lines[0]


def clean(text, *secrets):
    for ugly in ("panicked", "backtrace", "Err(", "Error {", "Os {", "reqwest", "hyper", "rustls", "unwrap()", "X-Amz-Signature", "AWS4-HMAC", "Signature="):
        assert ugly not in text, text
    for secret in secrets:
        assert secret not in text, "a secret is told"


def data(size, seed=1):
    """Bytes that do not compress, the same each time."""
    import random
    return random.Random(seed).randbytes(size)


def main():
    from lib import moto
    if sys.argv[1:] == ["install"]:
        install()
        moto.install()
    found = boto3()
    print(f"moto: {'there' if moto.there() else 'not there'}")
    print(f"boto3: {found.__version__ if found else 'not there'}")
    print(f"Ceph: {'not there: no ' + ' '.join(ceph.missing()) if ceph.missing() else 'there'}")


if __name__ == "__main__":
    main()
