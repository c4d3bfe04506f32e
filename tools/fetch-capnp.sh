#!/usr/bin/env bash
# Prints the folder of the unpacked Cap'n Proto source, fetching and checking it first if need be.
# Tries the upstream release, then the same tarball from this system's apt mirrors.
. "$(dirname "$0")/common.sh"

source_dir=$WW_CACHE/src/capnproto-$CAPNP_VERSION-${CAPNP_SHA256:0:16}

# take URL: true if the release came from there.
take() {
  local part=$source_dir.part tarball=$source_dir.part/capnproto.tar.gz
  rm -rf "$part"; mkdir -p "$part"
  curl -fsL --connect-timeout 15 --speed-limit 1000 --speed-time 30 -o "$tarball" "$1" || return 1
  if ! echo "$CAPNP_SHA256  $tarball" | sha256sum -c --status; then
    say "what came from there is not the release (its sha256 differs)"
    return 1
  fi
  tar -xzf "$tarball" -C "$part" --strip-components=1
  rm "$tarball"
  mv "$part" "$source_dir"
}

mirrors() { apt-get indextargets --format '$(SITE)' 2>/dev/null | sort -u; }

fetch() {
  [ -d "$source_dir" ] && return
  say "fetching Cap'n Proto $CAPNP_VERSION"
  take "https://capnproto.org/capnproto-c++-$CAPNP_VERSION.tar.gz" && return
  if command -v apt-get >/dev/null; then
    say "not to be had upstream from here; trying apt's mirrors"
    [ -n "$(mirrors)" ] || as_root apt-get update -q >&2 || true   # a fresh machine knows none yet
    local mirror
    for mirror in $(mirrors); do
      take "$mirror/pool/main/c/capnproto/capnproto_$CAPNP_VERSION.orig.tar.gz" && return
    done
  fi
  die "Cap'n Proto $CAPNP_VERSION could not be fetched. Put the release tarball's content into $source_dir and try again."
}

with_lock capnp-source fetch
echo "$source_dir"
