#pragma once
// What a node answered, as it is printed: `json`, else for people. Each ends with a newline.

#include <kj/string.h>
#include <node.capnp.h>
#include <ww/cli/table.h>
#include <ww/node/limit-table.h>

namespace ww {

using CellInfos = capnp::List<peer::CellInfo>::Reader;

kj::String showCells(CellInfos cells, bool json);
kj::String showCell(peer::CellInfo::Reader cell, bool json);
kj::String showSessions(capnp::List<node::SessionInfo>::Reader sessions, CellInfos cells,
                        bool json);
kj::String showPeers(capnp::List<peer::PeerInfo>::Reader peers, bool json);
kj::String showNode(kj::ArrayPtr<const kj::byte> peerId,
                    capnp::List<capnp::Data>::Reader addrs, bool json);

kj::String showLimits(kj::ArrayPtr<const LimitLine> limits, bool json);

// A piece of a cell's log. As it is, for people.
kj::String showLog(uint64_t cell, kj::ArrayPtr<const kj::byte> bytes);

}  // namespace ww
