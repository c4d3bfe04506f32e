#include <ww/cli/stem-options.h>

#include <kj/debug.h>
#include <ww/base/quantity.h>
#include <ww/node/eth-address.h>

namespace ww {
namespace {

// Also 0, for those who give none.
kj::Maybe<kj::Duration> parseGrace(const std::string& word) {
  if (word == "0" || word == "0s") return 0 * kj::SECONDS;
  return parseDuration(word.c_str());
}

std::string checkInterval(const std::string& word) {
  KJ_IF_MAYBE(interval, parseDuration(word.c_str())) {
    bool isGood = *interval >= 100 * kj::MILLISECONDS && *interval <= 10 * kj::MINUTES;
    return isGood ? "" : word + " is not between 100ms and 10m";
  }
  return word + " is no duration, such as 4s; it has to be between 100ms and 10m";
}

}  // namespace

std::string checkAddress(const std::string& word) {
  auto read = readEthAddress(word.c_str());
  KJ_IF_MAYBE(problem, read.tryGet<kj::String>()) return problem->cStr();
  return "";
}

std::string checkChainId(const std::string& word) {
  bool isNumber = !word.empty() && word.size() < 20 &&
                  word.find_first_not_of("0123456789") == word.npos;
  return isNumber && word[0] != '0'
      ? "" : word + " is no chain's id: a number from 1, such as 1 or 11155111";
}

EthAddress addressOf(const std::string& word) {
  auto read = readEthAddress(word.c_str());
  return KJ_ASSERT_NONNULL(read.tryGet<EthAddress>());
}

void addStemOptions(CLI::App& command, RawStem& raw) {
  auto group = "Epochs (without --stem there is one, for good)";
  command.add_option("--stem", raw.contract,
                     "Follow the head of this Stem contract: each new one that is final ends all\n"
                     "authority that was handed out before")
      ->type_name("ADDRESS")->envname("WW_STEM")->group(group)
      ->check(checkAddress);
  auto addOfChain = [&](auto* option) {
    raw.ofChain.push_back(option->group(group));
    return option;
  };
  addOfChain(command.add_option("--rpc-url", raw.providers,
                     "A provider of its chain, by http, https, ws or wss; may be repeated"))
      ->type_name("URL")->envname("WW_RPC_URL")->allow_extra_args(false);
  addOfChain(command.add_option("--quorum", raw.quorum,
                     "So many providers have to agree [most of them]"))
      ->type_name("N")->envname("WW_QUORUM")->check(CLI::Range(1u, 100u));
  addOfChain(command.add_option("--finality", raw.finality,
                     "From which block on a head counts: finalized, safe or depth:K"))
      ->type_name("HOW")->envname("WW_FINALITY")->capture_default_str()
      ->check([](const std::string& word) {
        ChainOptions scratch;
        return setFinality(scratch, word.c_str()) ? std::string()
            : word + " is none of finalized, safe and depth:K, K being a number of blocks";
      });
  addOfChain(command.add_option("--chain-id", raw.chainId,
                     "Refuse providers of any other chain [the one that is followed first]"))
      ->type_name("N")->envname("WW_CHAIN_ID")->check(checkChainId);
  addOfChain(command.add_option("--chain-interval", raw.interval,
                     "How often a provider is asked; those by ws tell by themselves too"))
      ->type_name("DURATION")->envname("WW_CHAIN_INTERVAL")->capture_default_str()
      ->check(checkInterval);
  // Sessions also end by --advance-on-signal.
  command.add_option("--grace", raw.grace,
                     "What the cells of a session that has ended get to end by themselves")
      ->type_name("DURATION")->envname("WW_GRACE")->capture_default_str()->group(group)
      ->check([](const std::string& word) {
        return parseGrace(word) != nullptr ? std::string()
            : word + " is no duration, such as 1.5s or 0";
      });
  addOfChain(command.add_flag("--stay", raw.stay,
                   "Run on, without any authority, when the chain takes back what was final; the\n"
                   "node ends with 125 otherwise"))
      ->envname("WW_STAY");
  addOfChain(command.add_flag("--forget-epoch", raw.forget,
                   "Forget what was followed of this contract before: the chain counts as it is\n"
                   "now, even if its head is an older one. For one start: not to be left in"));
}

kj::Maybe<ChainOptions> makeChainOptions(const RawStem& raw) {
  if (raw.contract.empty()) return nullptr;
  ChainOptions options;
  options.contract = addressOf(raw.contract);
  options.providers = KJ_MAP(url, kj::arrayPtr(raw.providers.data(), raw.providers.size())) {
    return kj::heapString(url.data(), url.size());
  };
  KJ_ASSERT(setFinality(options, raw.finality.c_str()));
  if (raw.quorum > 0) options.quorum = raw.quorum;
  if (raw.chainId > 0) options.chainId = raw.chainId;
  options.interval = KJ_ASSERT_NONNULL(parseDuration(raw.interval.c_str()));
  options.stay = raw.stay;
  options.forget = raw.forget;
  return kj::mv(options);
}

kj::Maybe<kj::String> findStemMistake(const RawStem& raw) {
  KJ_IF_MAYBE(options, makeChainOptions(raw)) return findProblem(*options);
  for (auto option: raw.ofChain) {
    if (option->count() == 0) continue;
    return kj::str(option->get_name().c_str(), " is for --stem, which is not given");
  }
  return nullptr;
}

kj::Duration graceOf(const RawStem& raw) { return KJ_ASSERT_NONNULL(parseGrace(raw.grace)); }

}  // namespace ww
