#include <ww/cli/show-epoch.h>

#include <kj/encoding.h>
#include <ww/base/text.h>
#include <ww/cli/table.h>

namespace ww {
namespace {

using State = node::ProviderInfo::State;

kj::String hexOf(kj::ArrayPtr<const kj::byte> bytes) {
  return kj::str("0x", kj::encodeHex(bytes));
}

kj::StringPtr stateText(State state) {
  switch (state) {
    case State::UNKNOWN: return "unknown"_kj;
    case State::ANSWERS: return "answers"_kj;
    case State::FAILS: return "fails"_kj;
    case State::LACKS: return "lacks"_kj;
    case State::DISAGREES: return "disagrees"_kj;
    case State::FROZEN: return "frozen"_kj;
  }
  return "unknown"_kj;
}

uint64_t lagOf(node::ChainInfo::Reader chain) {
  return chain.getLatest() - kj::min(chain.getLatest(), chain.getFinal());
}

kj::String chainJson(node::ChainInfo::Reader chain) {
  auto providers = KJ_MAP(provider, chain.getProviders()) {
    return JsonObject().add("name", provider.getName())
        .add("state", stateText(provider.getState())).add("problem", provider.getProblem())
        .add("latest", provider.getLatest()).add("final", provider.getFinal())
        .add("failures", provider.getFailures())
        .add("disagreements", provider.getDisagreements()).toText();
  };
  JsonObject object;
  object.add("contract", hexOf(chain.getContract())).add("chainId", chain.getChainId())
      .add("finality", chain.getFinality()).add("quorum", uint64_t(chain.getQuorum()))
      .add("latest", chain.getLatest()).add("final", chain.getFinal()).add("lag", lagOf(chain));
  if (chain.getPendingSeq() > 0) object.add("pending", chain.getPendingSeq());
  object.add("problem", chain.getProblem()).addRaw("providers", jsonArray(providers));
  return object.toText();
}

kj::String epochJson(node::EpochInfo::Reader info) {
  auto epoch = info.getEpoch();
  JsonObject object;
  object.add("seq", epoch.getSeq()).add("head", hexOf(epoch.getHead()))
      .add("adoptedBlock", epoch.getAdoptedBlock());
  auto source = info.getSource();
  if (source.isChain()) {
    object.add("source", "chain"_kj).addRaw("chain", chainJson(source.getChain()));
  } else {
    object.add("source", "local"_kj);
  }
  return object.toText();
}

kj::String line(kj::StringPtr name, kj::StringPtr value) {
  return kj::str(name, escapeText(value), '\n');
}

kj::String chainText(node::ChainInfo::Reader chain) {
  Table table{"PROVIDER", "STATE", "LATEST", "FINAL", "FAILURES", "DISAGREEMENTS", "PROBLEM"};
  for (auto provider: chain.getProviders()) {
    table.row(kj::arr(kj::str(provider.getName()), kj::str(stateText(provider.getState())),
                      kj::str(provider.getLatest()), kj::str(provider.getFinal()),
                      kj::str(provider.getFailures()), kj::str(provider.getDisagreements()),
                      kj::str(provider.getProblem())));
  }
  return kj::str(
      line("contract   ", kj::str(hexOf(chain.getContract()), " on chain ", chain.getChainId())),
      line("finality   ", chain.getFinality()),
      line("blocks     ", kj::str(chain.getFinal(), " final, ", chain.getLatest(), " latest, ",
                                  lagOf(chain), " between")),
      line("quorum     ", kj::str(chain.getQuorum(), " of ", chain.getProviders().size())),
      chain.getPendingSeq() > 0
          ? line("pending    ", kj::str("epoch ", chain.getPendingSeq(), ", not final yet"))
          : kj::str(),
      chain.getProblem().size() > 0 ? line("problem    ", chain.getProblem()) : kj::str(),
      '\n', table.toText());
}

}  // namespace

kj::String showEpoch(node::EpochInfo::Reader info, bool json) {
  if (json) return kj::str(epochJson(info), '\n');
  auto epoch = info.getEpoch();
  auto source = info.getSource();
  auto head = epoch.getHead();
  return kj::str(
      line("epoch      ", kj::str(epoch.getSeq())),
      line("head       ", head.size() > 0 ? hexOf(head) : kj::str("-")),
      source.isChain() ? line("adopted at ", kj::str("block ", epoch.getAdoptedBlock()))
                       : line("source     ", "this node alone; no chain is followed"),
      source.isChain() ? chainText(source.getChain()) : kj::str());
}

}  // namespace ww
