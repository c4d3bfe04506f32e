#pragma once
// Words that say how a node is reached, and by whom.

#include <CLI/CLI.hpp>
#include <kj/array.h>
#include <kj/string.h>
#include <string>
#include <vector>
#include <ww/node/network.h>

namespace ww {

struct RawNetwork {
  std::vector<std::string> listen;
  std::vector<std::string> bootstrap;
  std::string privateNetwork;
  std::string dht = "auto";
  double dialTimeout = 10;
  bool noNetwork = false;
  bool noMdns = false;
  std::string rpc;
  bool dialPrivate = false;
  std::vector<std::string> allow;
  std::string allowFile;
};

void addNetworkOptions(CLI::App& command, RawNetwork& raw);
NetworkOptions makeNetworkOptions(const RawNetwork& raw);

// What is wrong with a word; empty if nothing is.
std::string isNotEmpty(const std::string& word);
std::string checkSeconds(const std::string& word);

kj::String str(const std::string& text);
kj::Array<kj::String> strs(const std::vector<std::string>& texts);

}  // namespace ww
