#!/usr/bin/env bash
# The step of this action. Inputs are INPUT_* in the environment; they become arguments as they are, and no shell reads them again.
set -euo pipefail

refuse() {
  printf '::error title=ssegauge::%s\n' "$1"
  printf 'result=usage\nexit-code=2\n' >>"$GITHUB_OUTPUT"
  exit 2
}

# lines TEXT: the array LINES_OF becomes the lines of TEXT, without the white space around them and without empty ones.
lines() {
  local line
  LINES_OF=()
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    [ -z "$line" ] || LINES_OF+=("$line")
  done <<<"$1"
}

# An empty array is unset to the bash of macOS, hence the + forms.
lines "${INPUT_URL:-}" && urls=(${LINES_OF[@]+"${LINES_OF[@]}"})
lines "${INPUT_ARGS:-}" && flags=(${LINES_OF[@]+"${LINES_OF[@]}"})
lines "${INPUT_REPORTS:-}" && reports=(${LINES_OF[@]+"${LINES_OF[@]}"})
((${#urls[@]})) || refuse 'the input url is empty'
for u in "${urls[@]}"; do
  [[ $u != -* ]] || refuse 'a line of the input url begins with a dash'
done
for f in ${flags[@]+"${flags[@]}"}; do
  [[ $f == -* ]] || refuse 'a line of the input args is no flag: each takes one line, with its value behind an equals sign'
done

program=${INPUT_PROGRAM:-}
if [ -z "$program" ]; then
  command -v go >/dev/null || refuse 'there is no Go to build ssegauge with: run actions/setup-go before, or give the input program'
  program=${RUNNER_TEMP:?}/ssegauge
  (cd "$ACTION_PATH/../../.." && GOWORK=off GOFLAGS= go build -trimpath -o "$program" ./cmd/ssegauge)
fi

cd "${INPUT_WORKING_DIRECTORY:-.}"
arguments=(check --quiet "--fail-on=${INPUT_FAIL_ON:-error}")
paths=()
for r in ${reports[@]+"${reports[@]}"}; do
  [[ $r == *=?* ]] || refuse 'a line of the input reports is not FORMAT=PATH'
  arguments+=("--report=$r")
  paths+=("${r#*=}")
done
arguments+=(${flags[@]+"${flags[@]}"} -- "${urls[@]}")

code=0
"$program" "${arguments[@]}" || code=$?

case $code in
  0) result=passed ;;
  1) result=failed ;;
  2) result=usage ;;
  3) result=unreachable ;;
  4) result=inconclusive ;;
  130) result=interrupted ;;
  *) result=error ;;
esac
# A path may hold anything but a line break, so the end of the list is a word that nobody can have guessed.
end=end-$RANDOM$RANDOM$RANDOM$RANDOM
{
  printf 'result=%s\nexit-code=%d\nreports<<%s\n' "$result" "$code" "$end"
  for p in ${paths[@]+"${paths[@]}"}; do
    [ ! -e "$p" ] || printf '%s\n' "$p"
  done
  printf '%s\n' "$end"
} >>"$GITHUB_OUTPUT"
exit "$code"
