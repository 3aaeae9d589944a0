# install --target, with stand-ins for cargo and cargo-zigbuild: a real build is one of the long scenarios

mkdir -p "$T/bin" "$T/project"
cp -r "$ROOT/scripts" "$ROOT/man" "$T/project/"
for word in cat chmod cp mkdir mv printf sed touch; do ln -s "$(command -v "$word")" "$T/bin/$word"; done
install() {	# install WORDS...: with nothing else in PATH
	run env -i PATH="$T/bin" HOME="$T" "$SHELL_UNDER_TEST" "$T/project/scripts/install" --prefix "$T/to" "$@"
}
glibc=x86_64-unknown-linux-gnu.2.17

for word in '' x86_64 ../../x-y-z 'a b-c-d' -x-y-z "$glibc;true"; do
	install --target "$word"
	is "'$word' is no target" "$status" 64
	has 'and says how one looks' "$T/err" 'HINT: One is called as by rustc'
done
install --target
is 'a target without its name is 64' "$status" 64

install --target "$glibc"
is 'without cargo it is 69' "$status" 69
has 'and says so' "$T/err" 'cargo is missing'
printf '%s\n' "#!$SHELL_UNDER_TEST" "printf '%s\\n' \"\$*\" >\"\$HOME/ran\"" \
	'place=${CARGO_TARGET_DIR:-$HOME/project/target}/x86_64-unknown-linux-gnu/release' 'mkdir -p "$place"' \
	'for tool in $TOOLS; do touch "$place/$tool" && chmod +x "$place/$tool"; done' 'exit ${ENDS:-0}' >"$T/bin/cargo"
chmod +x "$T/bin/cargo"
install "--target=$glibc"
is 'without cargo-zigbuild it is 69' "$status" 69
has 'and says so' "$T/err" "install: cargo-zigbuild is missing, which builds for $glibc"
has 'and how to get it' "$T/err" 'HINT: python3 -m pip install cargo-zigbuild ziglang'
ok 'nothing was built' test ! -e "$T/ran"
ok 'and nothing installed' test ! -e "$T/to"

cp "$T/bin/cargo" "$T/bin/cargo-zigbuild"
install --target "$glibc"
is 'a build without its tools is 69' "$status" 69
has 'and one is named' "$T/err" "project/target/x86_64-unknown-linux-gnu/release/"
ok 'and nothing installed' test ! -e "$T/to"

tools=$(sed -n "s/^tools='\(.*\)'/\1/p" "$T/project/scripts/install")
sed -i "s|\$TOOLS|$tools|" "$T/bin/cargo"
install --target "$glibc"
is 'with all of them it is 0' "$status" 0
is 'zigbuild was told which glibc' "$(cat "$T/ran")" "zigbuild --release --locked --target $glibc"
for tool in $tools; do ok "$tool is there" test -x "$T/to/libexec/walpipe/$tool"; done
ok 'and the dispatcher' test -x "$T/to/bin/walpipe"

rm -rf "$T/to"
sed -i 's/ENDS:-0/ENDS:-101/' "$T/bin/cargo"
install --target "$glibc"
is "a build that fails is passed on" "$status" 101
ok 'and nothing installed' test ! -e "$T/to"
