#pragma once
// What of a tree is run: looked at while it passes on its way to another place, so that nobody
// deploys what no node can run.

#include <kj/vector.h>
#include <string.h>
#include <ww/image/tree.h>
#include <ww/node/image-file.h>

namespace ww {

// Whether these bytes begin a component. A core module begins otherwise.
inline bool isComponent(kj::ArrayPtr<const kj::byte> bytes) {
  constexpr kj::byte START[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  return bytes.size() >= sizeof(START) && memcmp(bytes.begin(), START, sizeof(START)) == 0;
}

class MainCheck final: public TreeSink {
 public:
  explicit MainCheck(kj::StringPtr image): image(image) {}

  void directory(kj::StringPtr) override {}
  void beginFile(kj::StringPtr path, bool) override {
    now = nullptr;
    for (auto& place: mains) {
      if (path != place.path) continue;
      place.isThere = true;
      now = place;
    }
  }
  void piece(kj::ArrayPtr<const kj::byte> bytes) override {
    KJ_IF_MAYBE(place, now) {
      auto room = LOOKED_AT - kj::min(LOOKED_AT, place->start.size());
      place->start.addAll(bytes.slice(0, kj::min(room, bytes.size())));
    }
  }
  void endFile() override { now = nullptr; }

  // After all of it. A layer that lies under others may have none.
  kj::Maybe<kj::String> findProblem(bool mayHaveNone) const {
    for (auto& place: mains) {
      if (!place.isThere) continue;
      if (isComponent(place.start)) return nullptr;
      return kj::str(image, ": ", place.path, " is no component: it does not begin as one");
    }
    if (mayHaveNone) return nullptr;
    return kj::str(image, ": this is no image: it has no ", kj::strArray(MAIN_PLACES, " or "));
  }

 private:
  static constexpr size_t LOOKED_AT = 8;
  struct Main {
    kj::StringPtr path;
    bool isThere = false;
    kj::Vector<kj::byte> start;
  };

  kj::StringPtr image;  // as a person named it
  Main mains[2] = {{MAIN_PLACES[0], false, {}}, {MAIN_PLACES[1], false, {}}};
  kj::Maybe<Main&> now;
};

}  // namespace ww
