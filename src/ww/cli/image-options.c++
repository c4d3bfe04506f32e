#include <ww/cli/image-options.h>

namespace ww {
namespace {

kj::String str(const std::string& text) { return kj::str(text.c_str()); }

std::string checkVolume(const std::string& word) {
  auto parsed = parseVolume(word.c_str());
  KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) return problem->cStr();
  return std::string();
}

}  // namespace

void addImageOptions(CLI::App& run, RawImage& raw) {
  run.add_option("LAYER", raw.layers,
                 "Folders, .wasm and .car files, /ipfs/CID, /ipns/NAME, names of the store: each\n"
                 "over those before it [the built-in image]")
      ->envname("WW_IMAGE");
  run.add_option("--volume,-v", raw.volumes,
                 "A folder of this machine that the image has under another path, to read or (rw)\n"
                 "to write to; may be repeated")
      ->type_name("HOST:GUEST[:ro|rw]")->allow_extra_args(false)->check(checkVolume);
}

void setImage(RunOptions& options, const RawImage& raw) {
  for (auto& layer: raw.layers) {
    if (!layer.empty()) options.layers.add(str(layer));  // WW_IMAGE may be
  }
  for (auto& volume: raw.volumes) {
    auto parsed = parseVolume(volume.c_str());
    KJ_IF_MAYBE(v, parsed.tryGet<Volume>()) options.volumes.add(kj::mv(*v));
  }
}

kj::Maybe<kj::String> findImageMistake(const CLI::App& run, const RawImage& raw) {
  if (run.count("LAYER") == 0) return nullptr;
  for (auto& layer: raw.layers) {
    if (layer.empty()) {
      return kj::str("a LAYER is empty; leave all out for the image that is built in");
    }
  }
  return nullptr;
}

}  // namespace ww
