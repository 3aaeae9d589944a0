#!/bin/sh
# parts.sh - what pg-snapshot runs for backup-push: the list of files on standard input into stored parts
set -eu
# shellcheck source=scripts/lib.sh
. "$WALPIPE_EXEC_PATH/lib.sh"
begin backup-push
leftover=$("$LS" "$BASE/" --prefix "$WALPIPE_BACKUP" --delimiter /) || exit
for there in $leftover; do
	case $there in
	"$WALPIPE_BACKUP/" | "${WALPIPE_BACKUP}_backup_stop_sentinel.json")
		say "a backup $WALPIPE_BACKUP is in $REPO already, or was begun there"
		hint "A checkpoint on the primary (on a standby also a restart point) gives the next one another name; or remove what is left of it."
		exit 73
		;;
	esac
done
printf '%s\n' "$WALPIPE_BACKUP" >"$OUT/name"
export WALPIPE_BELOW
lend=
[ "$METHOD" = none ] || lend=--lend	# compress reads what it gets, but what it only passes on
exec tarpart create ${lend:+"$lend"} --jobs "$JOBS" --size "$SIZE" --suffix "$EXT" ${LISTED:+--metadata "$OUT/files_metadata.json"} \
	--filter "$PART_FILTER" >"$OUT/parts"
