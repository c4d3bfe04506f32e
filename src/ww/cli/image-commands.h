#pragma once
// Words of `ww image`: what is kept of images here.

#include <CLI/CLI.hpp>
#include <kj/string.h>
#include <memory>
#include <vector>
#include <ww/node/image-sources.h>

namespace ww {

struct ImageOptions {
  enum class What { LS, ADD, RM, PIN, UNPIN, GC, VERIFY, EXPORT };
  What what = What::LS;
  kj::Array<kj::String> images;     // RM, PIN, UNPIN, EXPORT: names or content ids; ADD: IMAGE
  kj::Maybe<kj::String> name;       // ADD, PIN
  bool pin = true;                  // ADD
  uint64_t toBytes = 0;             // GC
  kj::String file;                  // EXPORT
  SourceOptions sources;            // ADD
  uint64_t storeBytes = 0;
  kj::Maybe<kj::String> dataDir;
  kj::String logLevel, logFormat;
  bool json = false;
};

class ImageCommands {
 public:
  explicit ImageCommands(CLI::App& app);
  ~ImageCommands() noexcept(false);

  // What was asked, if it was one of these.
  kj::Maybe<ImageOptions> findParsed() const;

 private:
  struct Command;
  Command& add(CLI::App& parent, ImageOptions::What what, const char* name, const char* about,
               const std::string& footer);

  std::vector<std::unique_ptr<Command>> commands;
};

}  // namespace ww
