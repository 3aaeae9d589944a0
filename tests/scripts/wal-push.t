# wal-push with tools that die, stall and are killed

mkdir -p "$T/repo" "$T/data/pg_wal"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX
cd "$T/data" || exit
name=000000010000000000000001
head -c 100000 /dev/zero >pg_wal/$name
stand_in catalog 'echo "{\"system_identifier\":1,\"source\":\"sentinel\"}"'
stand_in walcat 'exec cat "pg_wal/000000010000000000000001"'

wrapper wal-push
is 'no word is 64' "$status" 64
wrapper wal-push a b
is 'two words are 64' "$status" 64
wrapper wal-push pg_wal/absent
is 'a missing file is 66' "$status" 66

wrapper wal-push pg_wal/$name
is 'a good chain is 0' "$status" 0
is 'and says nothing on standard output' "$(cat "$T/out")" ''
ok 'and stores the object' test -s "$T/repo/wal_005/$name.lz4"
rm -f "$T/repo/wal_005/$name.lz4"

for s in 1 65 73 74 125; do
	stand_in fileput "exit $s"
	wrapper wal-push pg_wal/$name
	is "a sink's $s is passed on" "$status" "$s"
done
for s in 126 127 128 137 200 255; do
	stand_in fileput "exit $s"
	wrapper wal-push pg_wal/$name
	is "a sink's $s becomes 125" "$status" 125
done
stand_in fileput 'kill -9 $$'
wrapper wal-push pg_wal/$name
is 'a sink that is killed is 125' "$status" 125
rm -f "$EXEC/fileput"
wrapper wal-push pg_wal/$name
is 'a sink that is not there is 125' "$status" 125
real fileput

for s in 3 65 137; do
	stand_in walcat "head -c 1000 pg_wal/$name; exit $s"
	wrapper wal-push pg_wal/$name
	[ "$s" -le 125 ] || s=125
	is "a source that fails late is passed on as $s" "$status" "$s"
	is "and nothing is stored" "$(ls -A "$T/repo/wal_005" 2>/dev/null)" ''
done
stand_in walcat 'kill -9 $$'
wrapper wal-push pg_wal/$name
is 'a source that is killed is 125' "$status" 125
is 'and nothing is stored' "$(ls -A "$T/repo/wal_005" 2>/dev/null)" ''
stand_in walcat "exec cat pg_wal/$name"

for s in 65 78 200; do
	stand_in compress "exit $s"
	wrapper wal-push pg_wal/$name
	[ "$s" -le 125 ] || s=125
	is "a filter's $s is passed on as $s" "$status" "$s"
	is "and nothing is stored" "$(ls -A "$T/repo/wal_005" 2>/dev/null)" ''
done
real compress

for s in 65 78 137; do
	stand_in settings "exit $s"
	wrapper wal-push pg_wal/$name
	ok "settings that fail with $s are no success, and at most 125" test "$status" -ne 0 -a "$status" -le 125
done
real settings

mkdir -p global && : >global/pg_control
for s in 65 78 137; do
	stand_in catalog "exit $s"
	wrapper wal-push pg_wal/$name
	ok "an identity that fails with $s is no success, and at most 125" test "$status" -ne 0 -a "$status" -le 125
done
stand_in catalog 'echo "{\"system_identifier\":1,\"source\":\"sentinel\"}"'

# another's object that comes between the look and the put
stand_in walcat "echo theirs >\"$T/repo/wal_005/$name.lz4\"; exec cat pg_wal/$name"
wrapper wal-push pg_wal/$name
is 'what another stored meanwhile is 73' "$status" 73
is 'and is kept' "$(cat "$T/repo/wal_005/$name.lz4")" theirs
rm -f "$T/repo/wal_005/$name.lz4"
stand_in walcat "exec cat pg_wal/$name"

stand_in fileput 'trap "exit 143" TERM; : >"$HOME/there"; sleep 20 & wait'
for sig in TERM HUP INT; do
	rm -f "$T/there"
	background "$SHELL_UNDER_TEST" "$EXEC/wal-push" pg_wal/$name
	soon test -e "$T/there" || fail 'the sink never ran'
	kill -s "$sig" "$pid"
	ended
	ok "$sig ends it, not with success" test "$status" -ne 0
	ok "and ends the sink" soon gone fileput
done
