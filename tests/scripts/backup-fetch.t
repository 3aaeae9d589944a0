# backup-fetch: nothing is made startable unless every step went well

mkdir -p "$T/repo"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX
good() {
	rm -rf "$T/data"
	stand_in catalog 'case $1 in
select) echo base_000000010000000000000002 ;;
show) case " $* " in *" --parts "*) echo part_001.tar.lz4 ;; *) echo 150004; echo 1000 ;; esac ;;
esac'
	stand_in tarpart 'while [ "$1" != -C ]; do shift; done; cat >/dev/null; mkdir -p "$2/global"; echo 15 >"$2/PG_VERSION"
echo "restore_command = '"'old'"'" >"$2/postgresql.auto.conf"; echo "recovery_target_name = '"'old'"'" >>"$2/postgresql.auto.conf"'
}

good
wrapper backup-fetch "$T/data" LATEST
is 'all well is 0' "$status" 0
ok 'recovery.signal is there' test -f "$T/data/recovery.signal"
has 'restore_command is written' "$T/data/postgresql.auto.conf" 'wal-fetch %f %p'
has 'the timeline is always written' "$T/data/postgresql.auto.conf" "recovery_target_timeline = 'latest'"
ok 'the old restore_command is commented out' grep -q "^#.*'old'" "$T/data/postgresql.auto.conf"
is 'and no other is in force' "$(grep -c '^restore_command' "$T/data/postgresql.auto.conf")" 1
is 'nor an old target' "$(grep '^recovery_target_name' "$T/data/postgresql.auto.conf")" "recovery_target_name = ''"
has 'archiving is off' "$T/data/postgresql.auto.conf" "archive_mode = 'off'"
has 'and that is said' "$T/err" archive_mode
is 'no scratch directory is left' "$(ls -A "$T/tmp")" ''

good
stand_in sync 'for f; do echo "${f##*/}"; done >>"$HOME/synced"'
wrapper backup-fetch "$T/data" LATEST
is 'each file of its own is durable before it has its name, and then the directory is' "$(cat "$T/synced")" \
	"$(printf '%s\n' postgresql.auto.conf.walpipe recovery.signal.walpipe data)"
rm -f "$EXEC/sync"

good
wrapper backup-fetch "$T/data" LATEST --continue
lacks '--continue leaves archiving' "$T/data/postgresql.auto.conf" archive_mode
good
wrapper backup-fetch "$T/data" LATEST --standby
ok '--standby makes a standby' test -f "$T/data/standby.signal" -a ! -e "$T/data/recovery.signal"
lacks 'which archives when it is promoted' "$T/data/postgresql.auto.conf" archive_mode
good
wrapper backup-fetch "$T/data" LATEST --files-only
ok '--files-only writes nothing of its own' test ! -e "$T/data/recovery.signal"
is 'not even into the settings' "$(cat "$T/data/postgresql.auto.conf")" "restore_command = 'old'
recovery_target_name = 'old'"
good
wrapper backup-fetch "$T/data" LATEST --target-name "it's 100% \"odd\" \\ \$x"
has 'a target is quoted' "$T/data/postgresql.auto.conf" "recovery_target_name = 'it''s 100% \"odd\" \\"

good
sed 's/150004/110004/' "$EXEC/catalog" >"$T/c" && cat "$T/c" >"$EXEC/catalog"
wrapper backup-fetch "$T/data" LATEST --target-time 2026-01-01T00:00:00Z
ok 'before 12 recovery.conf is written' test -f "$T/data/recovery.conf" -a ! -e "$T/data/recovery.signal"
has 'with the command' "$T/data/recovery.conf" restore_command
has 'and the target, with a zone that the server knows while it starts' "$T/data/recovery.conf" "recovery_target_time = '2026-01-01"
lacks 'not Z' "$T/data/recovery.conf" "00Z"

fails() { # fails WHAT STATUS
	wrapper backup-fetch "$T/data" LATEST
	is "$1: status" "$status" "$2"
	ok "$1: no signal file" test ! -e "$T/data/recovery.signal"
	is "$1: no scratch directory is left" "$(ls -A "$T/tmp")" ''
}
for s in 65 78 137; do
	for verb in select show; do
		good
		sed "1a [ \"\$1\" != $verb ] || exit $s" "$EXEC/catalog" >"$T/c" && cat "$T/c" >"$EXEC/catalog"
		fails "catalog $verb fails with $s" "$s"
		ok "catalog $verb fails with $s: nothing was made" test ! -e "$T/data"
	done
	good
	sed '$a exit '"$s" "$EXEC/tarpart" >"$T/c" && cat "$T/c" >"$EXEC/tarpart"
	fails "tarpart fails with $s" "$s"
done
good
stand_in tarpart 'kill -9 $$'
fails 'tarpart is killed' 137

good
for words in --target-name --target-time --target-lsn --target-xid; do	# an unset variable in a script
	wrapper backup-fetch "$words" '' "$T/data" LATEST
	is "$words without a value is 64" "$status" 64
done
for words in '--target-xid abc' '--target-xid -5' '--target-timeline 0' '--target-exclusive' '--files-only --target-name x' '--files-only --standby'; do
	# shellcheck disable=SC2086
	wrapper backup-fetch $words "$T/data" LATEST
	is "$words is 64" "$status" 64
	ok "$words: nothing was made" test ! -e "$T/data"
done
cat >"$T/c.json" <<-EOF
	{"WALG_FILE_PREFIX": "$WALG_FILE_PREFIX"}
EOF
run env -u WALG_FILE_PREFIX WALG_CONFIG_PATH=c.json "$SHELL_UNDER_TEST" "$EXEC/backup-fetch" "$T/data" LATEST
is 'settings of a file beside us' "$status" 0
has 'the server finds it too' "$T/data/postgresql.auto.conf" "restore_command = 'WALG_CONFIG_PATH=$T/c.json walpipe wal-fetch"
good
mv "$T/c.json" "$HOME/.walg.json"
run env -u WALG_FILE_PREFIX "$SHELL_UNDER_TEST" "$EXEC/backup-fetch" "$T/data" LATEST
has 'the file of the one who restores is named to the server' "$T/data/postgresql.auto.conf" "restore_command = 'WALG_CONFIG_PATH=$HOME/.walg.json walpipe"
rm "$HOME/.walg.json"

for words in '' '--nonsense' '--target-time' '--standby --target-name x' '--target-name a --target-lsn 0/1' '--target-action dance' 'a b c'; do
	# shellcheck disable=SC2086
	wrapper backup-fetch $words
	is "wrong words: $words" "$status" 64
done
