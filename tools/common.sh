# Shared by the set-up and build scripts. Source it; it only defines things.
#
# What is expensive to build lives under the user's cache directory, one folder a content: the
# folder's name ends in a hash of all that went into it, and it appears by one rename, complete.
# A build that was interrupted leaves a `.building` folder, which the next run continues.
set -euo pipefail

WW_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOME=${HOME:-$(cd ~ && pwd)}
WW_CACHE=${WW_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ww-build}
# Where rustup puts cargo, whether the shell knows it yet or not.
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH

# What is cached is the same for everybody: not of flags that this shell happens to have.
unset CFLAGS CXXFLAGS CPPFLAGS LDFLAGS RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET RUSTC
export LC_ALL=C.UTF-8

LLVM=22                     # the one compiler, for the host and for guests
CAPNP_VERSION=1.4.0
CAPNP_SHA256=fa02378ad522b318916b9ad928d1372fc9abd43dd1f4f0392e50450f5c87828f
JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN)}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Without questions, also where sudo forgets the environment.
as_root() {
  local quiet=(env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a)
  if [ "$(id -u)" = 0 ]; then "${quiet[@]}" "$@"; else sudo "${quiet[@]}" "$@"; fi
}

# A short hash of the named files' contents (and names) and of the words after --.
content_key() {
  local files=() words=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do files+=("$1"); shift; done
  [ $# -gt 0 ] && shift
  words=("$@")
  { [ ${#files[@]} -gt 0 ] && (cd "$WW_ROOT" && sha256sum "${files[@]}")
    printf '%s\n' "${words[@]}"; } | sha256sum | cut -c1-16
}

compiler() { clang++-$LLVM --version | head -n 1; }

# pip_install FOLDER PINS: what the file PINS lists, by checksum, into a folder of its own.
pip_install() {
  python3 -m pip install -q --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes --target "$1" -r "$WW_ROOT/$2"
}

# with_lock NAME COMMAND...: one at a time, over all checkouts of this user.
with_lock() {
  mkdir -p "$WW_CACHE"
  local name=$1; shift
  exec 9>"$WW_CACHE/$name.lock"
  flock -n 9 || { say "waiting until another make of this user's is done with $name"; flock 9; }
  "$@"
  exec 9>&-
}

# make_once KIND FOLDER TEXT COMMAND...: unless FOLDER, in the cache, is there already, says TEXT and
# has COMMAND fill an empty folder, its last argument, which then becomes FOLDER. Others of that
# kind that no checkout has asked for in a month go.
make_once() { with_lock "$1" fill_once "$@"; }

fill_once() {
  local kind=$1 folder=$2 text=$3 part
  shift 3
  if [ -d "$folder" ]; then touch "$folder"; return; fi
  find "$WW_CACHE" -maxdepth 1 -name "$kind-*" -mtime +30 -exec rm -rf {} +
  say "$text"
  part=$(mktemp -d "$WW_CACHE/$kind-part.XXXXXX")
  quietly "$part/log" "$@" "$part"
  mv "$part" "$folder"
}

# npm_install FOLDER SOURCES NODE: what the lock file in SOURCES lists, into FOLDER/node_modules,
# with the Node of tools/fetch-node.sh. No package's own scripts.
npm_install() {
  cp "$WW_ROOT/$2"/{package.json,package-lock.json} "$1" &&
    (cd "$1" && PATH="$3/bin:$PATH" node "$3/lib/node_modules/npm/bin/npm-cli.js" ci \
      --ignore-scripts --no-audit --no-fund)
}

# quietly LOG COMMAND...: the output goes to LOG; its end is shown when the command fails. On a
# terminal its latest line is shown meanwhile, so that a person sees it move.
quietly() {
  local log=$1 status=0 shower=
  shift
  mkdir -p "$(dirname "$log")"
  if [ -t 2 ]; then show_last_line "$log" $BASHPID & shower=$!; fi
  "$@" >"$log" 2>&1 || status=$?
  if [ -n "$shower" ]; then
    kill "$shower" 2>/dev/null || true
    wait "$shower" 2>/dev/null || true
    printf '\r\033[K' >&2
  fi
  [ "$status" = 0 ] && return
  tail -n 40 "$log" >&2
  die "failed; the whole output is in $log"
}

# show_last_line LOG PID: while that process lives.
show_last_line() {
  local columns line; columns=$(tput cols 2>/dev/null || echo 80)
  while kill -0 "$2" 2>/dev/null; do
    line=$(tail -n 1 "$1" 2>/dev/null | tr -cd '[:print:]' | cut -c "1-$((columns - 4))")
    printf '\r\033[K   %s' "$line" >&2
    sleep 0.5
  done
}
