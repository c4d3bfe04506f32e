#pragma once
// Words that say where images come from, and how much of them is kept.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>
#include <ww/node/image-sources.h>
#include <ww/node/image-store.h>

namespace ww {

struct RawSources {
  std::vector<std::string> gateways;
  std::string ipfs;
  std::string storeSize = "16g";
};

void addSourceOptions(CLI::App& command, RawSources& raw);
void addStoreSizeOption(CLI::App& command, RawSources& raw);

SourceOptions makeSourceOptions(const RawSources& raw);
uint64_t storeBytesOf(const RawSources& raw);

}  // namespace ww
