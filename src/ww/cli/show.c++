#include <ww/cli/show.h>

#include <kj/encoding.h>
#include <ww/base/text.h>
#include <ww/node/names.h>

namespace ww {
namespace {

kj::Array<kj::String> addrTexts(capnp::List<capnp::Data>::Reader addrs) {
  return KJ_MAP(addr, addrs) { return multiaddrText(addr); };
}

kj::String dash(uint64_t number) { return number == 0 ? kj::str("-") : kj::str(number); }

kj::String firstOf(kj::StringPtr text, size_t size) {
  return kj::heapString(text.begin(), kj::min(text.size(), size));
}

kj::String startOf(peer::CellInfo::Reader cell) {
  return timeText(cell.getStartedAtMs() / 1000);
}

kj::String mebibytes(uint64_t bytes) {
  return kj::str(double(bytes * 10 >> 20) / 10, " MiB");
}

kj::String stateText(peer::CellInfo::Reader cell) {
  auto state = cell.getState();
  if (state.isRunning()) return kj::str(cell.getDetached() ? "detached" : "running");
  return kj::str("exited ", state.getExitCode());
}

kj::Array<kj::String> argsOf(peer::CellInfo::Reader cell) {
  return KJ_MAP(arg, cell.getArgs()) { return kj::str(arg); };
}

kj::String cellJson(peer::CellInfo::Reader cell) {
  auto state = cell.getState();
  JsonObject json;
  json.add("cell", cell.getId()).add("parent", cell.getParent()).add("session", cell.getSession())
      .add("component", cell.getComponent()).add("args", argsOf(cell))
      .add("startedAt", startOf(cell)).add("detached", cell.getDetached())
      .add("running", state.isRunning());
  if (!state.isRunning()) json.addRaw("exitCode", kj::str(state.getExitCode()));
  if (cell.getCause().size() > 0) json.add("cause", cell.getCause());
  json.add("memoryBytes", cell.getMemoryBytes()).add("memoryPeakBytes", cell.getMemoryPeakBytes())
      .add("cpuNs", cell.getCpuNs()).add("children", uint64_t(cell.getChildren()))
      .add("limitHits", cell.getLimitHits())
      .add("bytesIn", cell.getBytesIn()).add("bytesOut", cell.getBytesOut());
  return json.toText();
}

kj::String holderText(node::SessionInfo::Reader session) {
  auto holder = session.getHolder();
  switch (holder.which()) {
    case node::SessionInfo::Holder::CELL: return kj::str("cell ", holder.getCell());
    case node::SessionInfo::Holder::OWNER: return kj::str("owner");
    case node::SessionInfo::Holder::KEY: return peerIdText(holder.getKey());
  }
  return kj::str("unknown");
}

kj::StringPtr stateText(node::SessionInfo::Reader session) {
  if (session.getEnded().size() > 0) return session.getEnded();
  return session.getDetached() ? "its link is gone, detached cells keep it"_kj : "stands"_kj;
}

uint64_t countRunning(CellInfos cells, uint64_t session) {
  uint64_t count = 0;
  for (auto cell: cells) count += cell.getSession() == session && cell.getState().isRunning();
  return count;
}

}  // namespace

kj::String showCells(CellInfos cells, bool json) {
  if (json) {
    return kj::str(jsonArray(KJ_MAP(cell, cells) { return cellJson(cell); }), '\n');
  }
  Table table{"CELL", "PARENT", "SESSION", "STATE", "STARTED", "COMPONENT", "ARGS"};
  for (auto cell: cells) {
    table.row(kj::arr(kj::str(cell.getId()), dash(cell.getParent()), dash(cell.getSession()),
                      stateText(cell), startOf(cell),
                      firstOf(cell.getComponent(), 16),
                      kj::strArray(cell.getArgs(), " ")));
  }
  return table.toText();
}

kj::String showCell(peer::CellInfo::Reader cell, bool json) {
  if (json) return kj::str(cellJson(cell), '\n');
  auto line = [](kj::StringPtr name, kj::StringPtr value) {
    return kj::str(name, escapeText(value), '\n');
  };
  return kj::str(
      line("cell       ", kj::str(cell.getId())), line("state      ", stateText(cell)),
      cell.getCause().size() > 0 ? line("cause      ", cell.getCause()) : kj::str(),
      line("parent     ", dash(cell.getParent())), line("session    ", dash(cell.getSession())),
      line("started    ", startOf(cell)),
      line("component  ", cell.getComponent()),
      line("args       ", kj::strArray(cell.getArgs(), " ")),
      line("memory     ", kj::str(mebibytes(cell.getMemoryBytes()), " now, ",
                                  mebibytes(cell.getMemoryPeakBytes()), " at most")),
      line("cpu        ", kj::str(double(cell.getCpuNs() / 1000) / 1e6, " s")),
      line("bytes      ", kj::str(cell.getBytesIn(), " in, ", cell.getBytesOut(), " out")),
      line("children   ", kj::str(cell.getChildren())),
      line("limit hits ", kj::str(cell.getLimitHits())));
}

kj::String showSessions(capnp::List<node::SessionInfo>::Reader sessions, CellInfos cells,
                        bool json) {
  if (json) {
    return kj::str(jsonArray(KJ_MAP(session, sessions) {
      return JsonObject().add("session", session.getId())
          .add("epoch", session.getEpoch().getSeq()).add("holder", holderText(session))
          .add("from", session.getOrigin()).add("host", true).add("executor", true)
          .add("node", session.getHasNode()).add("cells", countRunning(cells, session.getId()))
          .add("stands", session.getEnded().size() == 0).add("detached", session.getDetached())
          .add("state", stateText(session)).toText();
    }), '\n');
  }
  Table table{"SESSION", "EPOCH", "HOLDER", "HOLDS", "CELLS", "STATE", "FROM"};
  for (auto session: sessions) {
    table.row(kj::arr(kj::str(session.getId()), kj::str(session.getEpoch().getSeq()),
                      holderText(session),
                      kj::str("host,executor", session.getHasNode() ? ",node" : ""),
                      kj::str(countRunning(cells, session.getId())), kj::str(stateText(session)),
                      kj::str(session.getOrigin())));
  }
  return table.toText();
}

kj::String showPeers(capnp::List<peer::PeerInfo>::Reader peers, bool json) {
  if (json) {
    return kj::str(jsonArray(KJ_MAP(peer, peers) {
      return JsonObject().add("peerId", peerIdText(peer.getPeerId()))
          .add("addrs", addrTexts(peer.getAddrs())).toText();
    }), '\n');
  }
  Table table{"PEER", "ADDRS"};
  for (auto peer: peers) {
    table.row(kj::arr(peerIdText(peer.getPeerId()), kj::strArray(addrTexts(peer.getAddrs()), " ")));
  }
  return table.toText();
}

kj::String showNode(kj::ArrayPtr<const kj::byte> peerId,
                    capnp::List<capnp::Data>::Reader addrs, bool json) {
  if (!json) return kj::str(peerIdText(peerId), '\n');
  return kj::str(JsonObject().add("peerId", peerIdText(peerId)).add("addrs", addrTexts(addrs))
                     .toText(), '\n');
}

kj::String showLog(uint64_t cell, kj::ArrayPtr<const kj::byte> bytes) {
  JsonObject json;
  json.add("cell", cell);
  if (isUtf8(bytes)) json.add("text", kj::heapString(bytes.asChars().begin(), bytes.size()));
  else json.add("base64", kj::encodeBase64(bytes));
  return kj::str(json.toText(), '\n');
}

kj::String showLimits(kj::ArrayPtr<const LimitLine> limits, bool json) {
  if (json) {
    auto objects = KJ_MAP(limit, limits) {
      return JsonObject().add("limit", limit.name).add("value", limit.value.asPtr())
          .add("of", limit.of).toText();
    };
    return kj::str(jsonArray(objects), '\n');
  }
  Table table({"LIMIT", "VALUE", "OF"});
  for (auto& limit: limits) {
    table.row(kj::arr(kj::str(limit.name), kj::str(limit.value), kj::str(limit.of)));
  }
  return table.toText();
}

}  // namespace ww
