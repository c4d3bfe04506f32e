#pragma once
// What `ww run` takes of an image and of what its pid0 is given.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>
#include <ww/cli/options.h>

namespace ww {

struct RawImage {
  std::vector<std::string> layers;
  std::vector<std::string> volumes;
};

void addImageOptions(CLI::App& run, RawImage& raw);

void setImage(RunOptions& options, const RawImage& raw);

// Words that are none.
kj::Maybe<kj::String> findImageMistake(const CLI::App& run, const RawImage& raw);

}  // namespace ww
