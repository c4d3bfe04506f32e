#include <ww/cli/show-image.h>

#include <ww/base/quantity.h>
#include <ww/cli/table.h>

namespace ww {
namespace {

kj::String toJson(const StoredImage& image) {
  JsonObject json;
  json.add("cid", image.cid.toText());
  KJ_IF_MAYBE(name, image.name) json.add("name", *name);
  else json.addRaw("name", "null");
  json.add("bytes", image.bytes).add("blocks", image.blocks).add("pinned", image.pinned)
      .add("whole", image.whole).add("inUse", image.inUse)
      .add("addedAt", timeText(image.added)).add("usedAt", timeText(image.used));
  return json.toText();
}

kj::String stateOf(const StoredImage& image) {
  kj::Vector<kj::StringPtr> words;
  if (image.pinned) words.add("pinned");
  if (image.inUse) words.add("in use");
  if (!image.whole) words.add("in part");
  return words.empty() ? kj::str("-") : kj::strArray(words, ", ");
}

kj::Array<kj::String> textsOf(kj::ArrayPtr<const Cid> cids) {
  return KJ_MAP(cid, cids) { return cid.toText(); };
}

}  // namespace

kj::String showImages(kj::ArrayPtr<const StoredImage> images, bool json) {
  if (json) return kj::str(jsonArray(KJ_MAP(image, images) { return toJson(image); }), '\n');
  Table table{"NAME", "SIZE", "BLOCKS", "STATE", "USED", "CID"};
  for (auto& image: images) {
    auto name = image.name.map([](const kj::String& name) { return kj::str(name); });
    table.row(kj::arr(kj::mv(name).orDefault([]() { return kj::str("-"); }), showSize(image.bytes),
                      kj::str(image.blocks), stateOf(image), timeText(image.used),
                      image.cid.toText()));
  }
  return table.toText();
}

kj::String showImage(const StoredImage& image, bool json) {
  return json ? kj::str(toJson(image), '\n') : kj::str(image.cid.toText(), '\n');
}

kj::String showCollected(const Collected& collected, uint64_t left, bool json) {
  if (json) {
    return kj::str(JsonObject().add("images", collected.images).add("blocks", collected.blocks)
                       .add("bytes", collected.bytes).add("bytesLeft", left).toText(), '\n');
  }
  return kj::str("removed ", countText(collected.images, "image"), ", ",
                 countText(collected.blocks, "block"), " of ", showSize(collected.bytes), "; ",
                 showSize(left), " are left\n");
}

kj::String showCheck(const StoreCheck& check, bool json) {
  auto damaged = textsOf(check.damaged), incomplete = textsOf(check.incomplete);
  if (json) {
    return kj::str(JsonObject().add("blocks", check.blocks).add("bytes", check.bytes)
                       .add("damaged", damaged).add("incomplete", incomplete).toText(), '\n');
  }
  auto found = kj::str("all are what their content ids say");
  if (damaged.size() > 0) {
    found = kj::str("damaged", check.readOnly ? "" : ", and gone", ": ", damaged.size());
  }
  auto text = kj::str(countText(check.blocks, "block"), " of ", showSize(check.bytes), ": ", found,
                      '\n');
  for (auto& cid: damaged) text = kj::str(text, "damaged block  ", cid, '\n');
  for (auto& cid: incomplete) text = kj::str(text, "image in part  ", cid, '\n');
  return text;
}

}  // namespace ww
