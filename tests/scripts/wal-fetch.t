# wal-fetch: what may never look like the end of WAL

mkdir -p "$T/repo/wal_005" "$T/data/pg_wal" "$T/data/global"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX
cd "$T/data" || exit
name=000000010000000000000001
: >global/pg_control
stand_in sleep ':'	# tries follow at once
stand_in catalog 'echo "{\"system_identifier\":1,\"source\":\"object\"}"'
printf x >"$T/repo/wal_005/$name.lz4"

wrapper wal-fetch
is 'no word is 64 to a person' "$status" 64

for here in '' recovery.signal backup_label recovery.conf; do
	rm -f recovery.signal backup_label recovery.conf
	[ -z "$here" ] || : >"$here"
	for s in 1 2 65 66 74 75 77 78 126 127 137 200; do
		stand_in walcat "exit $s"
		wrapper wal-fetch $name pg_wal/RECOVERYXLOG
		is "a failing check ($s) is 200 with '$here'" "$status" 200
	done
	stand_in walcat 'kill -9 $$'
	wrapper wal-fetch $name pg_wal/RECOVERYXLOG
	is "a check that is killed is 200 with '$here'" "$status" 200
	stand_in walcat ':'
	wrapper wal-fetch $name pg_wal/RECOVERYXLOG
	is "a check that passes is 0 with '$here'" "$status" 0
	wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
	is "an absent segment is 74 with '$here'" "$status" 74
done

for s in 1 65 69 74 78 127 137; do
	stand_in settings "exit $s"
	wrapper wal-fetch $name pg_wal/RECOVERYXLOG
	is "settings that fail with $s are 200 in recovery" "$status" 200
done
rm -f "$EXEC/settings"
wrapper wal-fetch $name pg_wal/RECOVERYXLOG
is 'settings that are not there are 200 in recovery' "$status" 200
real settings
for s in 1 65 69 74 78 127 137; do
	stand_in catalog "exit $s"
	wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
	is "an identity that fails with $s is 200 in recovery" "$status" 200
done
stand_in catalog 'echo "{\"source\":\"none\"}"'
wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
is 'no proof of the repository is 200 in recovery' "$status" 200
wrapper wal-fetch a b c
is 'wrong words are 200 in recovery' "$status" 200

run "$SHELL_UNDER_TEST" -c '"$@" <&-' sh "$SHELL_UNDER_TEST" "$EXEC/wal-fetch" $name pg_wal/RECOVERYXLOG
is 'a closed standard input is 200 in recovery' "$status" 200
mv "$EXEC/lib.sh" "$T/lib.sh"
wrapper wal-fetch $name pg_wal/RECOVERYXLOG
is 'an installation without lib.sh is 200 in recovery' "$status" 200
mv "$T/lib.sh" "$EXEC/lib.sh"
for words in '' wal-fetsh '--confg x wal-fetch' '--config'; do
	# shellcheck disable=SC2086  # words
	wrapper walpipe $words
	is "walpipe $words is 200 in recovery" "$status" 200
done
rm -rf "$T/elsewhere"
mv "$T/repo/wal_005" "$T/elsewhere"
wrapper wal-fetch $name pg_wal/RECOVERYXLOG
is 'a repository without wal_005 is 200' "$status" 200
mv "$T/elsewhere" "$T/repo/wal_005"
stand_in filels 'exit 77'
stand_in catalog 'echo "{\"system_identifier\":1,\"source\":\"object\"}"'
wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
is 'what cannot be listed is not absent: 200' "$status" 200
real filels

rm -f recovery.signal backup_label recovery.conf
: >standby.signal
wrapper walpipe wal-fetsh
is 'walpipe wal-fetsh is 1 on a standby' "$status" 1
for s in 1 66 74 137 200; do
	stand_in walcat "exit $s"
	wrapper wal-fetch $name pg_wal/RECOVERYXLOG
	is "a failing check ($s) is 1 on a standby" "$status" 1
done
wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
is 'an absent segment is 1 on a standby' "$status" 1
rm -f standby.signal
for line in "standby_mode = 'on'" "standby_mode=on" "  Standby_Mode = 'true'"; do
	printf '%s\n' "restore_command = 'x'" "$line" >recovery.conf
	wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
	is "so with recovery.conf: $line" "$status" 1
done
for line in "standby_mode = 'off'" "#standby_mode = 'on'"; do
	printf '%s\n' "$line" >recovery.conf
	stand_in catalog 'echo "{\"system_identifier\":1,\"source\":\"object\"}"'
	wrapper wal-fetch 000000010000000000000002 pg_wal/RECOVERYXLOG
	is "not so with recovery.conf: $line" "$status" 74
done
rm -f recovery.conf

mv "$T/repo" "$T/repo.away"
: >recovery.signal
wrapper wal-fetch $name pg_wal/RECOVERYXLOG
is 'a root that is gone is 200' "$status" 200
ok 'and is not made again' test ! -e "$T/repo"
