# the dispatcher

wrapper walpipe
is 'no word is 64' "$status" 64
has 'and says which there are' "$T/err" backup-push

wrapper walpipe help
is 'help is 0' "$status" 0
has 'on standard output' "$T/out" wal-push

wrapper walpipe --help
is '--help is 0' "$status" 0

wrapper walpipe nonsense
is 'an unknown command is 64' "$status" 64
has 'and is named' "$T/err" nonsense
is 'says nothing on standard output' "$(cat "$T/out")" ''

wrapper walpipe wal-pus
is 'a near name is 64 too' "$status" 64
has 'and gets the nearest' "$T/err" wal-push

wrapper walpipe ../../bin/ls
is 'a path is no command' "$status" 64

wrapper walpipe --exec-path
is 'exec-path prints the plumbing' "$(cat "$T/out")" "$EXEC"

for c in backup-push backup-fetch backup-list wal-push wal-fetch check adopt config; do
	stand_in "$c" 'printf "%s\n" "$0" "$@"; exit 37'
	wrapper walpipe "$c" 'a b' '' "c'd"
	is "$c is handed its words" "$(cat "$T/out")" "$EXEC/$c
a b

c'd"
	is "$c's status is passed on" "$status" 37
done

mkdir -p "$T/p/bin" "$T/p/libexec/walpipe" "$T/elsewhere"
cp "$EXEC/walpipe" "$T/p/bin/walpipe"
cp "$EXEC/lib.sh" "$T/p/libexec/walpipe/lib.sh"
ln -s "$T/p/bin/walpipe" "$T/elsewhere/walpipe"
run env -u WALPIPE_EXEC_PATH "$T/elsewhere/walpipe" --exec-path
is 'installed, it finds libexec through a link' "$(cat "$T/out")" "$T/p/libexec/walpipe"

if command -v man >/dev/null; then
	wrapper walpipe help nonsense
	is 'help for what is no command is 64' "$status" 64
	has 'and says so' "$T/err" 'there is no page of nonsense'
else
	stand_in man 'exit 16'
	wrapper walpipe help nonsense
	is 'help for what is no command is 64' "$status" 64
	rm -f "$EXEC/man"
fi
