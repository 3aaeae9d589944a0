"""The sessions that the pages show run as they are shown."""

import shutil

import manual
import pytest

from lib import need, s3, servers
from lib.cluster import Cluster
from lib.rig import Rig

MAJORS = (15, 17, 16, 18, 14, 13)


def sessions_of(path):
    text = manual.text_of(path)
    return manual.sessions(manual.section(text, "EXAMPLES") + manual.section(text, "PIPELINES"))


class Place:
    """A running server that archives, one backup, one archived segment; its repository as new for every page."""

    def __init__(self, rig):
        self.rig = rig
        self.repo = rig.repo()
        major = next((m for m in MAJORS if servers.find(m)), None) or need.skip("pg15", "no PostgreSQL server here")
        self.pg = Cluster(rig, major=major, small=True, conf={"wal_keep_size": "1GB"})
        if not self.pg.running():
            self.pg.start()
        self.pg.backup()
        self.segment = self.pg.switch()
        self.pristine = rig.dir / "pristine"
        shutil.copytree(self.repo, self.pristine, ignore=shutil.ignore_patterns("*.tmp.*"))       # the archiver is at work
        self.count = 0

    def fresh(self):
        """A new working directory, and the repository as it was."""
        shutil.rmtree(self.repo, ignore_errors=True)
        self.repo.mkdir()
        for there in self.pristine.iterdir():
            shutil.copytree(there, self.repo / there.name)
        self.rig.own(self.repo, recursive=True)
        self.count += 1
        return self.rig.mkdir(f"w{self.count}")

    def run(self, sessions, settings):
        """Run the commands one after another in one shell: [(what it printed, its status)]."""
        work = self.fresh()
        script = "exec 2>&1\n" + "".join(f"{command}\nprintf '\\036%s\\036' $?\n" for command, _ in sessions)
        tools = self.rig.session.stage() / "libexec/walpipe"
        env = self.pg.env({"REPO": self.repo, "SEG": self.segment, "PATH": f"{tools}:{self.rig.env()['PATH']}", **settings})
        path = self.rig.write(f"w{self.count}.sh", script)
        pieces = self.rig.run("sh", path, cwd=work, env=env, timeout=180).out.split("\036")
        assert len(pieces) == 2 * len(sessions) + 1 and pieces[-1] == "", pieces
        return list(zip(pieces[0::2], pieces[1::2]))


@pytest.fixture(scope="module")
def place(session):
    rig = Rig(session, "examples")
    failed = True
    try:
        rig.want_tools("walpipe", "wal-push", "backup-push", "catalog", "pg-snapshot", "tarpart")
        yield Place(rig)
        failed = False
    finally:
        rig.close(failed)


@pytest.mark.parametrize("path", [p for p in manual.PAGES if sessions_of(p)], ids=lambda p: p.name)
def test_the_sessions_of_a_page_run_as_shown(place, path):
    sessions = sessions_of(path)
    settings = {}
    if any("$BUCKET" in command for command, _ in sessions):
        bucket = s3.Bucket(place.rig)
        settings = {**bucket.server.settings(), "BUCKET": bucket.name}
    for (command, shown), (printed, status) in zip(sessions, place.run(sessions, settings)):
        assert status == "0", f"$ {command}\n{printed}=> {status}"
        assert manual.pattern(shown).fullmatch(printed), f"$ {command}\nprints\n{printed}\nand is shown with\n" + "\n".join(shown)


def test_every_command_page_has_a_session():
    without = [p.name for p in manual.PAGES if p.suffix == ".1" and not sessions_of(p)]
    assert without == []


def test_walpipe_7_has_five_pipelines():
    text = manual.text_of(manual.MAN / "walpipe.7")
    assert [line.split()[1] for line in manual.section(text, "PIPELINES") if line.startswith(".Ss ")] == ["1.", "2.", "3.", "4.", "5."]
