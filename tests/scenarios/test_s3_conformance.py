"""The suite that every store passes (shared/store), run by the crate's own test against a real server."""

import os
import subprocess

from lib import s3, shared


def test_the_store_passes_the_conformance_suite_on_a_real_server(rig):
    b = s3.Bucket(rig)
    env = {**os.environ,
           "WALPIPE_TEST_S3_ENDPOINT": b.server.endpoint, "WALPIPE_TEST_S3_BUCKET": b.name,
           "WALPIPE_TEST_S3_ACCESS_KEY_ID": b.server.key, "WALPIPE_TEST_S3_SECRET_ACCESS_KEY": b.server.secret,
           "WALPIPE_TEST_S3_REGION": b.server.region, "WALPIPE_TEST_S3_STYLE": b.server.style,
           "WALPIPE_TEST_S3_CA": b.server.ca or ""}
    ran = subprocess.run(["cargo", "test", "--locked", "--quiet", "-p", "store-s3", "--test", "conformance"],
                         cwd=shared.ROOT, env=env, capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "SKIP" not in ran.stderr and "5 passed" in ran.stdout, ran.stdout + ran.stderr
    assert not b.client.list_objects_v2(Bucket=b.name).get("Contents")
