"""What no S3 server of one's own has: encryption by AWS's keys, and the services that give keys, as moto imitates them."""

import pytest

from lib import moto, s3


def started(rig, **more):
    rig.want_tools("s3put", "s3get")
    aws = moto.Moto(rig, **more)
    rig.settings.update(aws.server.settings(), WALG_S3_MAX_PART_SIZE=str(s3.LEAST))
    return aws


@pytest.fixture
def aws(rig):
    return started(rig)


def goes_and_comes(rig, aws, name):
    for size in (1, 11 * s3.MIB):
        body = s3.data(size)
        rig.run("s3put", aws.bucket.url(name), stdin=body)
        assert rig.run("s3get", aws.bucket.url(name), text=False).out == body
        yield aws.bucket.head(name)


def test_encryption_is_asked_for_and_had(rig, aws):
    key = "arn:aws:kms:us-east-1:123456789012:key/one"
    for method, more in (("AES256", {}), ("aws:kms", {"WALG_S3_SSE_KMS_ID": key})):
        rig.settings.update(WALG_S3_SSE=method, **more)
        for head in goes_and_comes(rig, aws, "k"):
            assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == (method, more.get("WALG_S3_SSE_KMS_ID"))


def test_a_wrong_secret_is_refused(rig, aws):
    """So that the keys of the tests below have to be right."""
    r = rig.run("s3put", aws.bucket.url("k"), stdin="x", env={"AWS_SECRET_ACCESS_KEY": "wrong"}, status=77)
    s3.alone(r, aws.server.secret)


def test_a_role_is_assumed(rig, aws):
    key, secret = rig.settings.pop("AWS_ACCESS_KEY_ID"), rig.settings.pop("AWS_SECRET_ACCESS_KEY")
    config = rig.write("config", f"[profile keeper]\nrole_arn = {moto.ROLE}\nsource_profile = base\n")
    base = rig.write("credentials", f"[base]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    rig.settings.update(AWS_PROFILE="keeper", AWS_CONFIG_FILE=str(config), AWS_SHARED_CREDENTIALS_FILE=str(base),
                        AWS_ENDPOINT_URL_STS=aws.endpoint)
    assert len(list(goes_and_comes(rig, aws, "k"))) == 2
    rig.write("credentials", f"[base]\naws_access_key_id = {key}\naws_secret_access_key = wrong\n")
    s3.alone(rig.run("s3put", aws.bucket.url("k"), stdin="x", status="fail"), secret)


def test_a_web_identity_becomes_a_key(rig):
    """The token service is asked without a signature."""
    aws = started(rig, checks=False)
    del rig.settings["AWS_ACCESS_KEY_ID"], rig.settings["AWS_SECRET_ACCESS_KEY"]
    rig.settings.update(AWS_ROLE_ARN=moto.ROLE, AWS_WEB_IDENTITY_TOKEN_FILE=str(rig.write("token", "of somebody")),
                        AWS_ENDPOINT_URL_STS=aws.endpoint)
    assert len(list(goes_and_comes(rig, aws, "k"))) == 2
    assert "POST /" in aws.asked()


def test_the_machine_s_role_gives_a_key(rig, aws):
    """Its secret is none that moto knows: what counts is that the service is asked as it wants to be."""
    del rig.settings["AWS_ACCESS_KEY_ID"], rig.settings["AWS_SECRET_ACCESS_KEY"]
    rig.settings["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = aws.endpoint
    r = rig.run("s3put", aws.bucket.url("k"), stdin="x", status=77)
    assert "InvalidAccessKeyId" in r.err, r.err
    asked = [path for path in aws.asked() if "/latest/" in path]
    assert asked == ["PUT /latest/api/token", "GET /latest/meta-data/iam/security-credentials/",
                     "GET /latest/meta-data/iam/security-credentials/default-role"]
