# completion.bash - words for walpipe in bash, taken from each command's own --help
# shellcheck shell=bash
_walpipe() {
	local word=${COMP_WORDS[COMP_CWORD]} command='' each
	COMPREPLY=()
	for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $each in
		-*) ;;
		*)
			command=$each
			break
			;;
		esac
	done
	if [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(walpipe help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p') --config --exec-path --version --help" -- "$word")
	elif [[ $command == help ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(walpipe help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')" -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(walpipe "$command" --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z-]+' | tr -d ' ,')" -- "$word")
	elif [[ $command == backup-fetch && $word != */* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "LATEST $(walpipe backup-list 2>/dev/null | sed -n 's/^\(base_[^ ]*\) .*/\1/p')" -d -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	fi
}
complete -o filenames -F _walpipe walpipe
