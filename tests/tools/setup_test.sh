#!/usr/bin/env bash
# setup_test.sh ROOT: the set-up trusts no half of anything, and resumes. On a copy of tools/, with a
# small tarball in the release's place, a curl of its own and a cache of its own; and the configuration
# refuses a compiler that will not do, by name.
set -euo pipefail
root=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "setup_test: $*" >&2; exit 1; }

mkdir -p "$work/release/capnp" "$work/bin"
echo content > "$work/release/capnp/file"
tar -czf "$work/release.tar.gz" -C "$work" release
cp -r "$root/tools" "$work/tools"
sha=$(sha256sum "$work/release.tar.gz" | cut -d' ' -f1)
sed -i "s/^CAPNP_SHA256=.*/CAPNP_SHA256=$sha/" "$work/tools/common.sh"
export WW_CACHE_DIR=$work/cache PATH=$work/bin:$PATH

# curl ... -o FILE URL: does what CURL_DOES says.
cat > "$work/bin/curl" <<'CURL'
#!/usr/bin/env bash
while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
case $CURL_DOES in
  fails) exit 6 ;;
  garbage) echo garbage > "$out" ;;
  killed) head -c 20 "$CURL_GIVES" > "$out"; kill -KILL $PPID ;;
  mirror) case $1 in https://capnproto*) exit 6 ;; *) cp "$CURL_GIVES" "$out" ;; esac ;;
  works) cp "$CURL_GIVES" "$out" ;;
esac
CURL
printf '#!/bin/sh\necho http://mirror.example/debian\n' > "$work/bin/apt-get"
chmod +x "$work/bin/curl" "$work/bin/apt-get"
export CURL_GIVES=$work/release.tar.gz
fetch() { CURL_DOES=$1 "$work/tools/fetch-capnp.sh" 2>"$work/said"; }
nothing_trusted() {
  ! ls -d "$WW_CACHE_DIR"/src/capnproto-*[0-9a-f] >/dev/null 2>&1 || fail "$1 left something that is trusted"
}

for mishap in fails garbage killed; do
  fetch "$mishap" && fail "a fetch that $mishap is no failure"
  nothing_trusted "$mishap"
done
fetch fails || grep -q "could not be fetched. Put the release" "$work/said" || fail "no word on what to do"
fetch mirror >/dev/null || fail "the mirror's tarball is not taken"
folder=$(fetch fails) || fail "what was fetched is fetched again"
[ "$(cat "$folder/capnp/file")" = content ] || fail "not what was packed"

# A build that fails shows the end of its log, and where all of it is.
cat > "$work/build.sh" <<'BUILD'
. "$(dirname "$0")/tools/common.sh"
quietly "$WW_CACHE/log" sh -c 'echo this went wrong; exit 3'
BUILD
bash "$work/build.sh" 2>"$work/said" && fail "a failed step is no failure"
grep -q "this went wrong" "$work/said" && grep -q "$WW_CACHE_DIR/log" "$work/said" || fail "the log is not shown"

# Two at a time take turns.
cat > "$work/turns.sh" <<'TURNS'
. "$(dirname "$0")/tools/common.sh"
step() { mkdir "$WW_CACHE/alone" && rmdir "$WW_CACHE/alone"; }
for _ in $(seq 20); do with_lock turns step; done
TURNS
bash "$work/turns.sh" 2>/dev/null & one=$!
bash "$work/turns.sh" 2>/dev/null & two=$!
wait $one && wait $two || fail "two builds were in the same place at once"

# Flags of the shell's own do not get into what everybody shares.
got=$(CXXFLAGS=-march=native RUSTFLAGS=-g bash -c '. "$1/common.sh"; echo "${CXXFLAGS-}${RUSTFLAGS-}"' sh "$work/tools")
[ -z "$got" ] || fail "the environment's flags are used: $got"

if command -v g++ >/dev/null; then
  cmake -S "$root" -B "$work/refused" -G Ninja -DCMAKE_CXX_COMPILER=g++ >"$work/said" 2>&1 \
    && fail "g++ is accepted"
  grep -q "built with clang" "$work/said" || fail "it is not said which compiler is wanted"
fi
echo "the set-up holds"
