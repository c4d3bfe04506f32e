#pragma once
// Words of the commands that make an image and deploy it: init, build, sdk-path, push, stem.

#include <CLI/CLI.hpp>
#include <kj/one-of.h>
#include <memory>
#include <ww/base/log.h>
#include <ww/cli/build.h>
#include <ww/cli/init.h>
#include <ww/cli/push.h>

namespace ww {

using MakeOptions =
    kj::OneOf<InitOptions, BuildOptions, SdkPathOptions, PushOptions, SetHeadOptions>;

class MakeCommands {
 public:
  explicit MakeCommands(CLI::App& app);
  ~MakeCommands() noexcept(false);

  // Words that do not go together.
  kj::Maybe<kj::String> findMistake() const;

  // What was asked, if it was one of these.
  kj::Maybe<MakeOptions> findParsed() const;

 private:
  struct Raw;
  struct RawHead;

  static void addHeadOptions(CLI::App& command, RawHead& raw, bool isNeeded);
  static HeadTarget makeHead(const RawHead& raw);
  void addLocal(CLI::App& app);
  void addPush(CLI::App& app);
  void addSetHead(CLI::App& app);

  std::unique_ptr<Raw> raw;
};

// Does it; the exit code. Failures are said on stderr.
int make(const MakeOptions& options);

}  // namespace ww
