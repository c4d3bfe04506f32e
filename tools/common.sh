# Shared by the set-up and build scripts. Source it; it only defines things.
#
# What is expensive to build lives under the user's cache directory, one folder a content: the
# folder's name ends in a hash of all that went into it, and it appears by one rename, complete.
# A build that was interrupted leaves a `.building` folder, which the next run continues.
set -euo pipefail

WW_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WW_CACHE=${WW_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ww-build}

LLVM=22                     # the one compiler, for the host and for guests
CAPNP_VERSION=1.4.0
CAPNP_SHA256=fa02378ad522b318916b9ad928d1372fc9abd43dd1f4f0392e50450f5c87828f
JOBS=${JOBS:-$(nproc)}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A short hash of the named files' contents (and names) and of the words after --.
content_key() {
  local files=() words=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do files+=("$1"); shift; done
  [ $# -gt 0 ] && shift
  words=("$@")
  { [ ${#files[@]} -gt 0 ] && (cd "$WW_ROOT" && sha256sum "${files[@]}")
    printf '%s\n' "${words[@]}"; } | sha256sum | cut -c1-16
}

# with_lock NAME COMMAND...: one at a time, over all checkouts of this user.
with_lock() {
  mkdir -p "$WW_CACHE"
  local name=$1; shift
  exec 9>"$WW_CACHE/$name.lock"
  flock -n 9 || { say "waiting for another build of $name"; flock 9; }
  "$@"
  exec 9>&-
}

# quietly LOG COMMAND...: the output goes to LOG; its end is shown when the command fails.
quietly() {
  local log=$1; shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || { tail -n 40 "$log" >&2; die "failed; the whole output is in $log"; }
}
