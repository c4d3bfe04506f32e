#pragma once
// Words that say whose head a node follows, and what happens when it moves.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>
#include <ww/node/chain-source.h>

namespace ww {

struct RawStem {
  std::string contract;
  std::vector<std::string> providers;
  std::string finality = "finalized";
  unsigned quorum = 0;   // 0: not given
  uint64_t chainId = 0;  // likewise
  std::string interval = "4s";
  std::string grace = "5s";
  bool stay = false;
  bool forget = false;
  std::vector<const CLI::Option*> ofChain;  // that say how a chain is followed
};

// For CLI11: what is wrong with a contract's address, and that of one with which nothing is.
std::string checkAddress(const std::string& word);
EthAddress addressOf(const std::string& word);

std::string checkChainId(const std::string& word);

void addStemOptions(CLI::App& command, RawStem& raw);

// What is wrong with them together.
kj::Maybe<kj::String> findStemMistake(const RawStem& raw);

// Nothing without --stem.
kj::Maybe<ChainOptions> makeChainOptions(const RawStem& raw);

kj::Duration graceOf(const RawStem& raw);

}  // namespace ww
