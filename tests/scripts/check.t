# check: a line for each thing that is looked at, and the status of what failed first

mkdir -p "$T/repo" "$T/data/global" "$T/other"
: >"$T/data/global/pg_control"
WALG_FILE_PREFIX=$T/repo
export WALG_FILE_PREFIX
line() { sed -n "s/^\([a-z]*\)  *$1  *.*/\1/p" "$T/out"; }	# what came of it
words() { cut -c 1-19 "$T/out" | tr -s ' \n' ' '; }

wrapper check
is 'a fresh repository can be used' "$status" 0
is 'each thing has its line' "$(words)" 'ok settings ok reach ok write ok create-only note identity note backups '
is 'nothing is said elsewhere' "$(cat "$T/err")" ''
is 'and nothing stays there' "$(find "$T/repo" -type f)" ''

stand_in catalog 'printf "%s\n" "$*" >>"$HOME/ran"
case $* in
list*) echo base_1; echo base_2 ;;
*--add) printf "%s\n" "{\"system_identifier\":7,\"create_only\":\"${WORTH:-complete}\"}" "{\"system_identifier\":8}" ;;
esac
case $* in "${FAILS:-none}"*) echo catalog: said >&2; exit "$ENDS" ;; esac'
wrapper check "$T/data"
is 'a cluster of the repository' "$status" 0
has 'is compared, and written down' "$T/ran" "identity --repo $T/repo --control $T/data --add"
has 'its identifiers are said' "$T/out" 'system identifier 7 8'
has 'backups are counted, and the newest named' "$T/out" 'backups     2, the newest base_2'

for what in identity list; do
	FAILS=$what ENDS=78
	export FAILS ENDS
	wrapper check "$T/data"
	is "a failing $what is passed on" "$status" 78
	has 'with its words' "$T/err" 'catalog: said'
done
unset FAILS ENDS
is 'its line says so' "$(line backups)" failed

WORTH=put && export WORTH
stand_in fileput 'case $* in *--probe*) echo "{\"create_only\":\"no\"}" ;; *) exec '"$RELEASE"'/fileput "$@" ;; esac'
wrapper check "$T/data"
is 'a store that does less than was written down is 78' "$status" 78
is 'that is a failure of the identity' "$(line identity)" failed
has 'and what to do is said' "$T/err" 'WALPIPE_S3_CREATE_ONLY=no'
WORTH=no
wrapper check "$T/data"
is 'one that does as was written down can be used' "$status" 0
is 'which is worth a note' "$(line create-only)" note
unset WORTH
real catalog

stand_in fileput 'exit 77'
wrapper check
is 'what cannot be stored is passed on' "$status" 77
is 'its line says so' "$(grep failed "$T/out")" 'failed  write       an object could not be stored'
is 'what depends on it is skipped' "$(line create-only)" skipped
is 'and what does not is looked at' "$(line identity)" note
real fileput

stand_in fileget 'echo other'
wrapper check
is 'other bytes than were stored are 65' "$status" 65
has 'which is said' "$T/out" 'an object could not be read back'
is 'and the object is removed' "$(find "$T/repo" -type f)" ''
real fileget

stand_in filels 'case $* in *--delimiter*) exec '"$RELEASE"'/filels "$@" ;; esac'
wrapper check
is 'an object that is not listed is 69' "$status" 69
is 'and removed as well' "$(find "$T/repo" -type f)" ''
real filels

stand_in filerm 'exit 77'
wrapper check
is 'one that cannot be removed is a failure' "$status" 77
has 'of that' "$T/out" 'an object could not be removed'
S3_RETENTION_PERIOD=60 wrapper check
is 'unless a lock was asked for' "$status" 0
is 'that is worth a note' "$(line write)" note
real filerm
find "$T/repo" -type f -exec rm {} +

stand_in fileget 'touch "$HOME/waits"; exec sleep 60'
background "$SHELL_UNDER_TEST" "$EXEC/check"
soon test -e "$T/waits"
is 'there is an object for a while' "$(find "$T/repo" -type f | wc -l | tr -d ' ')" 1
kill -TERM "$pid"
ended
is 'a signal ends it' "$status" 143
is 'and leaves nothing' "$(find "$T/repo" -type f)" ''
real fileget

WALG_FILE_PREFIX=$T/absent wrapper check
is 'a repository that is not there is 66' "$status" 66
is 'the rest is skipped' "$(words)" 'ok settings failed reach skipped write skipped create-only skipped identity skipped backups '
WALG_FILE_PREFIX='' wrapper check
is 'none that is set is 78' "$status" 78
is 'and the only line' "$(cat "$T/out")" 'failed  settings    they cannot be used as they are'

wrapper check "$T/data" surplus
is 'one word too many is 64' "$status" 64
wrapper check --nonsense
is 'a wrong word is 64' "$status" 64
wrapper check "$T/other"
is 'a directory of something else is 66' "$status" 66
