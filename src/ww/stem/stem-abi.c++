#include <ww/stem/stem-abi.h>

#include <ww/base/error.h>

namespace ww {
namespace {

constexpr size_t WORD_BYTES = 32;

// Reads words, strictly: what is not as a compiler lays it out is refused.
class Words {
 public:
  explicit Words(kj::ArrayPtr<const kj::byte> data): data(data) {
    if (data.size() % WORD_BYTES != 0) refuse("is no whole number of words");
  }

  uint64_t number(size_t index) const {
    auto word = at(index);
    for (size_t i = 0; i < WORD_BYTES - sizeof(uint64_t); i++) {
      if (word[i] != 0) refuse("holds a number of more than 64 bits");
    }
    uint64_t value = 0;
    for (auto b: word.slice(WORD_BYTES - sizeof(uint64_t), WORD_BYTES)) value = value << 8 | b;
    return value;
  }

  // Whose offset is in word `index`, and which is all that follows word `expected`.
  kj::Array<const kj::byte> bytes(size_t index, size_t expected) const {
    if (number(index) != expected * WORD_BYTES) refuse("has its bytes elsewhere");
    auto size = number(expected);
    if (size > MAX_HEAD_BYTES) {
      kj::throwFatalException(badInput(kj::str("the contract's head has ", size,
          " bytes; the limit is ", MAX_HEAD_BYTES)));
    }
    auto rest = data.slice((expected + 1) * WORD_BYTES, data.size());
    if (rest.size() != (size + WORD_BYTES - 1) / WORD_BYTES * WORD_BYTES) {
      refuse("has another length than it says");
    }
    for (auto b: rest.slice(size, rest.size())) {
      if (b != 0) refuse("is padded with what is not zero");
    }
    return kj::heapArray<const kj::byte>(rest.slice(0, size));
  }

  [[noreturn]] static void refuse(kj::StringPtr why) {
    kj::throwFatalException(badInput(kj::str("this is no Stem contract: what it says ", why)));
  }

 private:
  kj::ArrayPtr<const kj::byte> data;

  kj::ArrayPtr<const kj::byte> at(size_t index) const {
    if (data.size() / WORD_BYTES <= index) refuse("is too short");
    return data.slice(index * WORD_BYTES, (index + 1) * WORD_BYTES);
  }
};

}  // namespace

StemHead decodeHead(kj::ArrayPtr<const kj::byte> data) {
  return {decodeSeq(data.slice(0, kj::min(data.size(), WORD_BYTES))), Words(data).bytes(1, 2)};
}

uint64_t decodeSeq(kj::ArrayPtr<const kj::byte> word) {
  if (word.size() > WORD_BYTES) Words::refuse("is too long");
  auto seq = Words(word).number(0);
  if (seq > MAX_SEQ) {
    kj::throwFatalException(badInput(kj::str("the contract's head has number ", seq,
                                             "; the limit is ", MAX_SEQ)));
  }
  return seq;
}

kj::Array<const kj::byte> decodeHeadValue(kj::ArrayPtr<const kj::byte> data) {
  return Words(data).bytes(0, 1);
}

}  // namespace ww
