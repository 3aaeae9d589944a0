"""moto, an imitation of AWS: encryption that is echoed, the services that give keys.  Never for what it does not check:
body digests, clocks, regions (rig.md, 2.6)."""

import pathlib
import socket
import sys

from . import need, s3
from .rig import wait_for

PLACE = s3.CACHE / "moto"
PACKAGE = "moto[server,s3]>=5,<6"
ALL = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
TRUST = ('{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*", "Federated": "*"},'
         ' "Action": ["sts:AssumeRole", "sts:AssumeRoleWithWebIdentity"]}]}')
ROLE = "arn:aws:iam::123456789012:role/keeper"


def there():
    return (PLACE / "moto").is_dir()


def install():
    if not there():
        s3.pip(PLACE, PACKAGE)


class Moto:
    """A running one, with a user and a role.  From then on it `checks` signatures and grants, and answers nobody without."""

    def __init__(self, rig, checks=True):
        if not s3.boto3():
            need.skip("s3", "no boto3 (tests/lib/s3.py install)")
        if not there():
            need.skip("moto", "it is not there (tests/lib/s3.py install)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.log = rig.dir / "moto.log"
        rig.spawn(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", port, stderr=open(self.log, "wb"), root=True,
                  env={"PYTHONPATH": str(PLACE), **({"INITIAL_NO_AUTH_ACTION_COUNT": "5"} if checks else {})})
        self.endpoint = f"http://127.0.0.1:{port}"

        def answers():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", port)) == 0
        wait_for(answers, 60, 0.1, why="moto")
        anybody = s3.Server(self.endpoint, "any", "any")
        iam = anybody.client(service="iam")
        iam.create_user(UserName="rig")
        key = iam.create_access_key(UserName="rig")["AccessKey"]
        iam.put_user_policy(UserName="rig", PolicyName="all", PolicyDocument=ALL)
        iam.create_role(RoleName="keeper", AssumeRolePolicyDocument=TRUST)
        iam.put_role_policy(RoleName="keeper", PolicyName="all", PolicyDocument=ALL)
        self.server = s3.Server(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])
        self.bucket = s3.bucket(rig, server=self.server)

    def asked(self):
        """The requests that came, as METHOD PATH."""
        lines = pathlib.Path(self.log).read_text(errors="replace").splitlines()
        return [line.split('"')[1].rpartition(" ")[0] for line in lines if line.count('"') >= 2]
