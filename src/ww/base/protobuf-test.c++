// What is read is what was written; what is none is refused, wherever it was cut or changed.
#include <ww/base/protobuf.h>

#include <kj/test.h>

namespace ww {
namespace {

bool isRefused(kj::ArrayPtr<const kj::byte> message) {
  return kj::runCatchingExceptions([&]() {
    ProtobufReader reader(message);
    while (reader.next()) {}
  }) != nullptr;
}

KJ_TEST("fields come in order, numbers of any size and bytes of any length") {
  ProtobufWriter writer;
  auto bytes = kj::heapArray<kj::byte>(300);
  memset(bytes.begin(), 7, bytes.size());
  uint64_t numbers[] = {0, 1, 127, 128, 300, uint64_t(1) << 63, ~uint64_t(0)};
  for (auto number: numbers) writer.add(2, number);
  writer.add(1000, bytes);
  writer.add(3, kj::ArrayPtr<const kj::byte>());
  auto message = writer.finish();
  ProtobufReader reader(message);
  for (auto number: numbers) {
    KJ_ASSERT(reader.next() && reader.getField() == 2 && reader.getNumber() == number, number);
  }
  KJ_EXPECT(reader.next() && reader.getField() == 1000 && reader.getBytes() == bytes);
  KJ_EXPECT_THROW_MESSAGE("is no number", reader.getNumber());
  KJ_EXPECT(reader.next() && reader.getField() == 3 && reader.getBytes().size() == 0);
  KJ_EXPECT(!reader.next());
}

KJ_TEST("fixed numbers of others are passed over") {
  const kj::byte message[] = {0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 5};
  ProtobufReader reader(message);
  KJ_EXPECT(reader.next() && reader.next() && reader.next());
  KJ_EXPECT(reader.getField() == 3 && reader.getNumber() == 5);
  KJ_EXPECT_THROW_MESSAGE("is no bytes", reader.getBytes());
}

KJ_TEST("what is cut, too long or of no type is refused") {
  const kj::byte cut[] = {0x0a, 5, 1, 2, 3, 4};
  KJ_EXPECT(isRefused(cut));
  const kj::byte huge[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
  KJ_EXPECT(isRefused(huge));
  const kj::byte tooLong[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2};
  KJ_EXPECT(isRefused(tooLong));
  const kj::byte padded[] = {0x08, 0x80, 0};
  KJ_EXPECT(isRefused(padded));
  const kj::byte open[] = {0x08, 0x80};
  KJ_EXPECT(isRefused(open));
  const kj::byte group[] = {0x0b, 0x0c};
  KJ_EXPECT(isRefused(group));
  const kj::byte noField[] = {0x00, 0};
  KJ_EXPECT(isRefused(noField));
  const kj::byte half[] = {0x09, 1, 2, 3};
  KJ_EXPECT(isRefused(half));
}

}  // namespace
}  // namespace ww
