# backup-push: every stage may fail; none may be forgotten

mkdir -p "$T/repo" "$T/data/global"
: >"$T/data/global/pg_control"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX

# stand-ins that work, and write down that they ran
good() {
	: >"$T/ran"
	stand_in catalog 'echo "catalog $1" >>"$HOME/ran"'
	stand_in tarpart 'case " $* " in *" --label "*) echo "tarpart label" ;; *) cat >/dev/null; echo "tarpart parts" ;; esac >>"$HOME/ran"'
	stand_in pg-snapshot 'case " $* " in *" --switch-wal "*) echo 000000010000000000000001; echo switch >>"$HOME/ran"; exit ;; esac
echo snapshot >>"$HOME/ran"
while [ "$1" != -- ]; do shift; done; shift
WALPIPE_BACKUP=base_000000010000000000000002 WALPIPE_SNAPSHOT=/dev/null; export WALPIPE_BACKUP WALPIPE_SNAPSHOT
echo list | "$@" || exit
echo stopped >>"$HOME/ran"'
}

good
wrapper backup-push "$T/data"
is 'all stages good is 0' "$status" 0
has 'the sentinel comes' "$T/ran" 'catalog seal'
is 'and is the last thing done' "$(tail -n 1 "$T/ran")" 'catalog seal'
is 'standard output is empty' "$(cat "$T/out")" ''
is 'no scratch directory is left' "$(ls -A "$T/tmp")" ''

fails() { # fails WHAT STATUS: no seal, that status, nothing left in TMPDIR
	wrapper backup-push "$T/data"
	is "$1: status" "$status" "$2"
	lacks "$1: no sentinel" "$T/ran" 'catalog seal'
	is "$1: no scratch directory is left" "$(ls -A "$T/tmp")" ''
	[ "$2" != 137 ] || ok "$1: says something" test -s "$T/err"	# what was killed could not
}

for s in 75 137; do
	good
	stand_in pg-snapshot "exit $s"
	fails "the switch fails with $s" "$s"
	for verb in identity await; do
		good
		stand_in catalog "[ \"\$1\" != $verb ] || exit $s; echo \"catalog \$1\" >>\"\$HOME/ran\""
		fails "catalog $verb fails with $s" "$s"
	done
	good
	stand_in tarpart "cat >/dev/null; exit $s"
	fails "tarpart fails with $s" "$s"
	good
	stand_in tarpart "case \" \$* \" in *\" --label \"*) exit $s ;; esac; cat >/dev/null"
	fails "the label's part fails with $s" "$s"
	good
	sed 's/^echo stopped.*/exit '"$s/" "$EXEC/pg-snapshot" >"$T/p" && cat "$T/p" >"$EXEC/pg-snapshot"
	fails "the stop of the backup fails with $s" "$s"
done
good
stand_in catalog 'echo "catalog $1" >>"$HOME/ran"; [ "$1" != seal ] || exit 74'
wrapper backup-push "$T/data"
is 'a seal that fails is passed on' "$status" 74
good
stand_in tarpart 'kill -9 $$'
fails 'tarpart is killed' 137
good
rm -f "$EXEC/tarpart"
fails 'tarpart is not there' 127

good
stand_in tarpart 'trap "exit 143" TERM; : >"$HOME/there"; sleep 20 & wait'
for pair in TERM:143 HUP:129 INT:130; do
	rm -f "$T/there"
	background "$SHELL_UNDER_TEST" "$EXEC/backup-push" "$T/data"
	soon test -e "$T/there" || fail 'tarpart never ran'
	kill -s "${pair%:*}" "$pid"
	ended
	is "${pair%:*} ends it with 128 and its number" "$status" "${pair#*:}"
	is "${pair%:*}: no scratch directory is left" "$(ls -A "$T/tmp")" ''
	ok "${pair%:*}: pg-snapshot is told" soon gone pg-snapshot
	lacks "${pair%:*}: no sentinel" "$T/ran" 'catalog seal'
	has "${pair%:*}: it says that there is no backup" "$T/err" 'backup-push: no backup was made'
	pkill -P $$ sleep 2>/dev/null || :
done

wrapper backup-push "$T/absent"
is 'a missing directory is 66' "$status" 66
wrapper backup-push "$T/tmp"
ok 'a directory of something else is refused' test "$status" -ne 0
wrapper backup-push --nonsense "$T/data"
is 'a wrong word is 64' "$status" 64
wrapper backup-push "$T/data" surplus
is 'one word too many is 64' "$status" 64
