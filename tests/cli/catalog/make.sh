# make.sh - sourced by cases: a repository, and what a backup leaves to be sealed

name=base_000000010000000000000002

# snapshot [KEY=JSON]…: snap/snapshot.json of a backup from 0/2000028 to 0/2000100; stored parts, their lines, its WAL
snapshot() {
	mkdir -p snap "repo/basebackups_005/$name/tar_partitions" repo/wal_005
	cat >snap/snapshot.json <<-'JSON'
		{"backup_name":"base_000000010000000000000002","start_lsn":"0/2000028","stop_lsn":"0/2000100","timeline":1,
		"start_time":"2026-01-02T03:04:05.123456Z","finish_time":"2026-01-02T03:04:09Z","system_identifier":7211111111111111111,
		"server_version_num":150018,"segment_size":16777216,"block_size":8192,"data_checksums":true,"data_directory":"/srv/pg",
		"hostname":"db1","in_recovery":false,"catalog_size":31744511,"tablespaces":[]}
	JSON
	printf '{"Files":{"/PG_VERSION":{"IsIncremented":false,"IsSkipped":false,"MTime":"2026-01-02T03:00:00Z","UpdatesCount":0}}}' >snap/files_metadata.json
	: >parts
	for part in part_001 pg_control; do
		printf '%s part of some bytes' "$part" >"repo/basebackups_005/$name/tar_partitions/$part.tar.lz4"
		printf '{"key":"%s.tar.lz4","size":%d,"digest":null,"etag":"x"}\n' "$part" "$((${#part} + 19))" >>parts
	done
	echo '{"files":1,"bytes":1000,"corrupt_blocks":0}' >>parts
	printf 'the label part' >"repo/basebackups_005/$name/tar_partitions/backup_label.tar.lz4"
	printf '{"key":"backup_label.tar.lz4","size":14,"digest":null,"etag":"x"}\n{"files":2,"bytes":250}\n' >>parts
	echo wal >repo/wal_005/000000010000000000000002.lz4
}

# what it is like afterwards, if it was refused
untouched() {
	test ! -e "repo/basebackups_005/${name}_backup_stop_sentinel.json"
	test "$(ls "repo/basebackups_005/$name")" = tar_partitions
}

# backup NAME STORED SENTINEL: a sentinel as it is said, stored at that time
backup() {
	mkdir -p repo/basebackups_005
	printf '%s' "$3" >"repo/basebackups_005/$1_backup_stop_sentinel.json"
	touch -d "$2" "repo/basebackups_005/$1_backup_stop_sentinel.json"
}

# three backups; the oldest was touched last
three() {
	backup base_000000010000000000000003 2026-03-09T00:00:00Z '{"LSN":50331688,"FinishLSN":50331904,"SystemIdentifier":7211111111111111111,"PgVersion":150018,"StartTime":"2026-03-01T01:00:00Z","FinishTime":"2026-03-01T01:10:00Z"}'
	backup base_000000010000000000000005_D_000000010000000000000003 2026-03-02T01:10:00Z '{"LSN":83886120,"DeltaLSN":50331688,"DeltaFrom":"base_000000010000000000000003","DeltaFullName":"base_000000010000000000000003","DeltaCount":1,"FinishLSN":83886336,"SystemIdentifier":7211111111111111111,"PgVersion":150018,"StartTime":"2026-03-02T01:00:00Z","FinishTime":"2026-03-02T01:10:00Z"}'
	backup base_000000020000000000000004 2026-03-03T01:10:00Z '{"LSN":67108904,"FinishLSN":67109120,"SystemIdentifier":7211111111111111111,"PgVersion":150018,"StartTime":"2026-03-03T01:00:00Z","FinishTime":"2026-03-03T01:10:00Z","WalpipeWalChecked":false}'
}

# two backups of timeline 1, and timeline 2, which left it between them
fork() {
	backup base_000000010000000000000003 2026-03-01T01:10:00Z '{"LSN":50331688,"FinishLSN":50331904,"SystemIdentifier":7211111111111111111,"PgVersion":150018,"StartTime":"2026-03-01T01:00:00Z","FinishTime":"2026-03-01T01:10:00Z"}'
	backup base_000000010000000000000007 2026-03-02T01:10:00Z '{"LSN":117440552,"FinishLSN":117440768,"SystemIdentifier":7211111111111111111,"PgVersion":150018,"StartTime":"2026-03-02T01:00:00Z","FinishTime":"2026-03-02T01:10:00Z"}'
	mkdir -p repo/wal_005
	printf '1\t0/5000000\tbefore 2026-03-02\n' >repo/wal_005/00000002.history
}
