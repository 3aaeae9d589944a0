"""Majors, segment sizes, checksums: one row each, so that every value is met."""

import pytest

import strict_reader
from lib import story

ROWS = [  # major, segment MiB, checksums, method
    (10, 16, False, "lz4"), (13, 1, True, "none"), (13, 64, False, "lz4"), (15, 1, False, "lz4"), (15, 64, True, "lz4"),
    (17, 16, True, "lz4"), (17, 1, False, "none"), (18, 64, True, "lz4"), (18, 16, False, "lz4"),
]


@pytest.mark.parametrize("major,segment,checksums,method", ROWS)
def test_every_major_and_segment_size_comes_back_whole(rig, major, segment, checksums, method):
    rig.settings["WALG_COMPRESSION_METHOD"] = method
    pg = story.archived(rig, major=major, segment=segment, checksums=checksums, scale=1)
    load = pg.load(1)
    name = pg.backup()
    load.stop()
    pg.sql("create table later as select g from generate_series(1, 1000) g")
    want = pg.digests()
    pg.switch()
    rig.strict()
    reader = strict_reader.Reader(rig.settings["WALG_FILE_PREFIX"])
    assert reader.check() == [] and reader.segment_size == segment << 20
    assert name in reader.names()
    pg.destroy()
    story.fetch(rig, pg.data, name)
    if major < 12:
        assert "restore_command" in (pg.data / "recovery.conf").read_text()
    else:
        assert (pg.data / "recovery.signal").exists()
    back = pg.restored("back", pg.data).start().wait_recovered()
    assert back.digests() == want
    back.amcheck()
    back.stop()
