#!/usr/bin/env bash
# Prints the folder of the unpacked Cap'n Proto source, fetching and checking it first if need be.
# Tries the upstream release, then the same tarball from this system's apt mirror.
. "$(dirname "$0")/common.sh"

source_dir=$WW_CACHE/src/capnproto-$CAPNP_VERSION-${CAPNP_SHA256:0:16}

fetch() {
  [ -d "$source_dir" ] && return
  local part=$source_dir.part tarball=$source_dir.part/capnproto.tar.gz url
  rm -rf "$part"; mkdir -p "$part"
  local urls=("https://capnproto.org/capnproto-c++-$CAPNP_VERSION.tar.gz")
  if command -v apt-get >/dev/null; then
    for url in $(apt-get indextargets --format '$(SITE)' 2>/dev/null | sort -u); do
      urls+=("$url/pool/main/c/capnproto/capnproto_$CAPNP_VERSION.orig.tar.gz")
    done
  fi
  for url in "${urls[@]}"; do
    say "fetching Cap'n Proto $CAPNP_VERSION"
    curl -fsSL --connect-timeout 15 --retry 2 -o "$tarball" "$url" || continue
    if echo "$CAPNP_SHA256  $tarball" | sha256sum -c --status; then
      tar -xzf "$tarball" -C "$part" --strip-components=1
      rm "$tarball"
      mv "$part" "$source_dir"
      return
    fi
    say "what came is not the release (its sha256 differs); trying the next place"
  done
  die "Cap'n Proto $CAPNP_VERSION could not be fetched. Put the release tarball's content into $source_dir and try again."
}

with_lock capnp-source fetch
echo "$source_dir"
