#pragma once
// Words that set limits: those of docker for the ones that are set often, `--limit` for any.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>
#include <ww/node/limit-table.h>

namespace ww {

struct RawLimits {
  std::string memory, cpu, timeout, maxChildren;
  std::vector<std::string> others;
};

void addLimitOptions(CLI::App& command, RawLimits& raw);

// What a word sets is set: each was checked when it was read.
NodeLimits makeLimits(const RawLimits& raw);

}  // namespace ww
