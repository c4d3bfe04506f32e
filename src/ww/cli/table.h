#pragma once
// How data is printed: for people in columns, for programs as JSON. What a guest or a peer chose is
// escaped in both.

#include <kj/string.h>
#include <kj/vector.h>
#include <stdint.h>

namespace ww {

class Table {
 public:
  explicit Table(std::initializer_list<kj::StringPtr> titles);

  // As many cells as there are titles.
  void row(kj::Array<kj::String> cells);

  // Lines, each with its newline; columns two spaces apart, the last one ragged.
  kj::String toText() const;

 private:
  kj::Vector<kj::Array<kj::String>> rows;
};

// One JSON object, field by field.
class JsonObject {
 public:
  JsonObject& add(kj::StringPtr name, kj::StringPtr text);
  JsonObject& add(kj::StringPtr name, uint64_t number);
  JsonObject& add(kj::StringPtr name, bool value);
  JsonObject& addRaw(kj::StringPtr name, kj::StringPtr json);
  JsonObject& add(kj::StringPtr name, kj::ArrayPtr<const kj::String> texts);
  kj::String toText() const { return kj::str('{', kj::strArray(fields, ","), '}'); }

 private:
  kj::Vector<kj::String> fields;
};

// ISO 8601, in UTC, to the second: for people and for programs.
kj::String timeText(int64_t secondsSince1970);

// "1 block", "2 blocks".
kj::String countText(uint64_t count, kj::StringPtr noun);

kj::String jsonArray(kj::ArrayPtr<const kj::String> values);

}  // namespace ww
