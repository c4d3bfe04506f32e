#include <ww/cli/table.h>

#include <time.h>
#include <ww/base/text.h>

namespace ww {

Table::Table(std::initializer_list<kj::StringPtr> titles) {
  rows.add(KJ_MAP(title, titles) { return kj::str(title); });
}

void Table::row(kj::Array<kj::String> cells) {
  rows.add(KJ_MAP(cell, cells) { return escapeText(cell); });
}

kj::String Table::toText() const {
  auto columns = rows[0].size();
  auto widths = kj::heapArray<size_t>(columns);
  for (size_t i = 0; i < columns; i++) {
    widths[i] = 0;
    for (auto& row: rows) widths[i] = kj::max(widths[i], row[i].size());
  }
  kj::Vector<char> out;
  for (auto& row: rows) {
    for (size_t i = 0; i < columns; i++) {
      out.addAll(row[i].asArray());
      if (i + 1 == columns) break;
      for (size_t n = row[i].size(); n < widths[i] + 2; n++) out.add(' ');
    }
    while (out.size() > 0 && out.back() == ' ') out.removeLast();
    out.add('\n');
  }
  return kj::heapString(out.begin(), out.size());
}

JsonObject& JsonObject::addRaw(kj::StringPtr name, kj::StringPtr json) {
  fields.add(kj::str('"', name, "\":", json));
  return *this;
}
JsonObject& JsonObject::add(kj::StringPtr name, kj::StringPtr text) {
  return addRaw(name, quoteJson(text));
}
JsonObject& JsonObject::add(kj::StringPtr name, uint64_t number) {
  return addRaw(name, kj::str(number));
}
JsonObject& JsonObject::add(kj::StringPtr name, bool value) {
  return addRaw(name, value ? "true" : "false");
}
JsonObject& JsonObject::add(kj::StringPtr name, kj::ArrayPtr<const kj::String> texts) {
  return addRaw(name, jsonArray(KJ_MAP(text, texts) { return quoteJson(text); }));
}

kj::String timeText(int64_t secondsSince1970) {
  time_t seconds = secondsSince1970;
  struct tm parts;
  char text[32];
  if (gmtime_r(&seconds, &parts) == nullptr) return kj::str(secondsSince1970);
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return kj::str(text);
}

kj::String countText(uint64_t count, kj::StringPtr noun) {
  return kj::str(count, ' ', noun, count == 1 ? "" : "s");
}

kj::String jsonArray(kj::ArrayPtr<const kj::String> values) {
  return kj::str('[', kj::strArray(values, ","), ']');
}

}  // namespace ww
