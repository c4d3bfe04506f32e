#pragma once
// The bytes of the components that ran lately, to know them again without hashing them: comparing
// takes a tenth of the time, and nothing is copied. For those that are started over and over.

#include <kj/array.h>
#include <kj/vector.h>
#include <ww/ffi/component.h>

namespace ww::ffi {

class RecentComponents final {
 public:
  static constexpr size_t MOST = 16;                            // each of them holds its code
  static constexpr size_t MOST_BYTES = size_t(16) << 20;        // together
  static constexpr size_t MOST_BYTES_OF_ONE = size_t(2) << 20;  // a larger one is not kept

  // Of those with the same ends: whoever sends many that differ in their middle gains nothing.
  static constexpr kj::uint MOST_COMPARED = 3;

  RecentComponents() {}
  KJ_DISALLOW_COPY_AND_MOVE(RecentComponents);

  // That which was made of these very bytes.
  kj::Maybe<kj::Own<const Component>> find(kj::ArrayPtr<const kj::byte> wasm);

  // In place of those that were not found for the longest time. Not one that find() gives.
  void keep(kj::Array<const kj::byte> wasm, kj::Own<const Component> component);

 private:
  struct Recent {
    kj::Array<const kj::byte> wasm;
    kj::Own<const Component> component;
  };
  kj::Vector<Recent> all;  // the last one found is the last
  size_t bytes = 0;        // of all

  void dropFirst();
};

}  // namespace ww::ffi
