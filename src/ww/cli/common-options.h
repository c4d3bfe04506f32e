#pragma once
// Words that almost every command takes.

#include <CLI/CLI.hpp>
#include <string>

namespace ww {

struct RawCommon {
  std::string dataDir;
  std::string logLevel = "info";
  std::string logFormat = "text";
};

void addCommonOptions(CLI::App& command, RawCommon& raw);

}  // namespace ww
