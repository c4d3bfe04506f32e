#include <ww/image/car-reader.h>

#include <string.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/ffi/content.h>
#include <ww/image/breath.h>

namespace ww {
namespace {

constexpr size_t BUFFER_BYTES = 64 << 10;
constexpr size_t MAX_SECTION_BYTES = MAX_BLOCK_BYTES + Cid::MAX_BYTES;

// The version 2 begins with this, and a header of as many bytes: characteristics, and where the
// version 1 in it is, how large, and where the index.
constexpr kj::byte PRAGMA[] = { 0xa1, 0x67, 'v', 'e', 'r', 's', 'i', 'o', 'n', 2 };
constexpr size_t CARV2_HEADER_BYTES = 40;

uint64_t littleEndian(const kj::byte* bytes) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
  return value;
}

class CarReader {
 public:
  CarReader(kj::AsyncInputStream& in, kj::StringPtr name, const CarLimits& limits,
            BlockStore& store)
      : in(in), name(name), limits(limits), store(store),
        buffer(kj::heapArray<kj::byte>(BUFFER_BYTES)) {}

  kj::Promise<CarSummary> read() {
    auto header = co_await readHeader();
    kj::Maybe<uint64_t> end;
    if (header.version == 2) {
      end = co_await readSecondHeader();
      header = co_await readHeader();
      if (header.version != 1) refuse("has a CAR of another version than 1 in it");
    }
    summary.roots = KJ_MAP(root, header.roots) { return Cid::fromBytes(root.bytes); };
    while (co_await readSection(end)) {}
    co_return kj::mv(summary);
  }

 private:
  [[noreturn]] void refuse(kj::StringPtr why) {
    kj::throwFatalException(badInput(kj::str(name, " ", why, ", at byte ", at)));
  }

  kj::Promise<ffi::CarHeader> readHeader() {
    auto length = co_await readVarint();
    if (length == nullptr) refuse("ends where a CAR file would begin");
    auto size = KJ_ASSERT_NONNULL(length);
    if (size == 0 || size > ffi::MAX_CAR_HEADER_BYTES) {
      refuse(kj::str("is no CAR file: its header would have ", size, " bytes"));
    }
    auto bytes = co_await take(size, "is no CAR file, or is cut short in its header");
    if (bytes == kj::ArrayPtr<const kj::byte>(PRAGMA)) co_return ffi::CarHeader { 2, nullptr };
    kj::Maybe<ffi::CarHeader> header;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { header = ffi::decodeCarHeader(bytes); })) {
      refuse(kj::str("is no CAR file: ", e->getDescription()));
    }
    co_return kj::mv(KJ_ASSERT_NONNULL(header));
  }

  // Where the version 1 that is in it ends.
  kj::Promise<uint64_t> readSecondHeader() {
    auto bytes = co_await take(CARV2_HEADER_BYTES);
    uint64_t offset = littleEndian(bytes.begin() + 16), size = littleEndian(bytes.begin() + 24);
    if (offset < at || size == 0 || offset > limits.bytes || size > limits.bytes) {
      refuse(kj::str("has its blocks from byte ", offset, " on, ", size, " bytes of them"));
    }
    while (at < offset) co_await take(kj::min(offset - at, BUFFER_BYTES));
    co_return offset + size;
  }

  // False where there are no more.
  kj::Promise<bool> readSection(kj::Maybe<uint64_t> end) {
    if (end.map([&](uint64_t e) { return e == at; }).orDefault(false)) co_return false;
    auto length = co_await readVarint();
    if (length == nullptr && end == nullptr) co_return false;
    if (length == nullptr) refuse("is cut short between its blocks");
    auto size = KJ_ASSERT_NONNULL(length);
    if (size == 0) refuse("has a block of nothing, not even a content id");
    if (size > MAX_SECTION_BYTES) {
      refuse(kj::str("has a block of ", size, " bytes: ", MAX_BLOCK_BYTES, " is the most"));
    }
    bool isWithin = end.map([&](uint64_t e) { return at <= e && size <= e - at; }).orDefault(true);
    if (!isWithin) refuse("has a block that goes on where its blocks should end");
    if (++summary.blocks > limits.blocks) {
      refuse(kj::str("has more than ", limits.blocks, " blocks"));
    }
    keep(co_await take(size));
    KJ_IF_MAYBE(rest, breath.after()) co_await *rest;
    co_return true;
  }

  void keep(kj::ArrayPtr<const kj::byte> section) {
    kj::Maybe<Cid> read;
    KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { read = Cid::startOf(section); })) {
      refuse(kj::str("has a block under ", e->getDescription()));
    }
    auto& cid = KJ_ASSERT_NONNULL(read);
    auto block = section.slice(cid.getBytes().size(), section.size());
    if (block.size() > MAX_BLOCK_BYTES) {
      refuse(kj::str("has a block of ", block.size(), " bytes: ", MAX_BLOCK_BYTES, " is the most"));
    }
    if (!cid.isOf(block)) {
      refuse(kj::str("has other bytes under ", cid.toText(), " than its block: it is damaged or a "
                     "forgery"));
    }
    summary.bytes += block.size();
    if (cid.findIdentity() == nullptr) store.put(cid, block);
  }

  // Minimal ones of at most nine bytes, as everybody writes them. Nothing at the end of the file.
  kj::Promise<kj::Maybe<uint64_t>> readVarint() {
    uint64_t value = 0;
    for (kj::uint shift = 0; shift < 63; shift += 7) {
      if (start == end && !co_await fill(1)) {
        if (shift == 0) co_return nullptr;
        refuse("is cut short");
      }
      auto byte = buffer[start++];
      ++at;
      value |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) refuse("has a length that is not written as it should be");
        co_return value;
      }
    }
    refuse("has a length without an end");
  }

  // The next bytes, until the next call.
  kj::Promise<kj::ArrayPtr<const kj::byte>> take(size_t size,
                                                 kj::StringPtr whyNot = "is cut short"_kj) {
    if (end - start < size && !co_await fill(size)) refuse(whyNot);
    auto bytes = buffer.slice(start, start + size);
    start += size;
    at += size;
    co_return bytes;
  }

  // Has `size` bytes at `start`; false where there are not so many.
  kj::Promise<bool> fill(size_t size) {
    auto had = end - start;
    if (size > buffer.size()) {
      auto larger = kj::heapArray<kj::byte>(MAX_SECTION_BYTES + BUFFER_BYTES);
      memcpy(larger.begin(), buffer.begin() + start, had);
      buffer = kj::mv(larger);
    } else {
      memmove(buffer.begin(), buffer.begin() + start, had);
    }
    start = 0;
    end = had;
    end += co_await in.tryRead(buffer.begin() + had, size - had, buffer.size() - had);
    if (at + (end - start) > limits.bytes) {
      refuse(kj::str("has more than ", limits.bytes, " bytes"));
    }
    co_return end >= size;
  }

  kj::AsyncInputStream& in;
  kj::StringPtr name;
  const CarLimits& limits;
  BlockStore& store;
  kj::Array<kj::byte> buffer;  // grows to hold any section, once one needs it
  size_t start = 0, end = 0;   // of what is read and not taken
  uint64_t at = 0;             // bytes that were taken
  CarSummary summary;
  Breath breath;
};

kj::Promise<CarSummary> read(kj::AsyncInputStream& in, kj::StringPtr name, CarLimits limits,
                             BlockStore& store) {
  CarReader reader(in, name, limits, store);
  co_return co_await reader.read();
}

}  // namespace

kj::Promise<CarSummary> readCar(kj::AsyncInputStream& in, kj::StringPtr name,
                                const CarLimits& limits, BlockStore& store) {
  return read(in, name, limits, store);
}

}  // namespace ww
