#pragma once
// A WebAssembly component, compiled and linked against what this host offers: ready to be run by
// any number of guests. Immutable; shared by count, from any thread.
//
// Making one is work for a compiler.h, which says what can go wrong.

#include <kj/array.h>
#include <kj/exception.h>
#include <kj/filesystem.h>
#include <kj/refcount.h>
#include <kj/string.h>

struct WwComponent;

namespace ww::ffi {

class EngineHandle;

class Component final: public kj::AtomicRefcounted {
 public:
  // Compiles; takes long. Throws an exception that says what is wrong with the bytes, for which
  // isComponentProblem() holds: no component at all, an invalid one, one that imports what the
  // host does not have (named), or one without wasi:cli/run. Any thread.
  static kj::Own<const Component> compile(const EngineHandle& engine,
                                          kj::ArrayPtr<const kj::byte> wasm);

  // Loads what artifact() gave under an engine of the same version(); `trusted` begins with it, and
  // `id` and `footprint` are the contentId() and footprintOf() of what it was made of.
  // Hands native code to the processor: the caller vouches for every byte, now and for as long as
  // the component lives, since a file of the disk is mapped and not copied. Any thread.
  static kj::Own<const Component> load(const EngineHandle& engine,
                                       const kj::ReadableFile& trusted, kj::StringPtr id,
                                       uint64_t footprint);

  // Native code and tables, for load(). Any thread.
  kj::Array<kj::byte> artifact() const;

  // contentId() of the bytes.
  kj::StringPtr getId() const { return id; }

  // Bytes that its instances take in each cell, beside their memories and tables.
  uint64_t getFootprint() const { return footprint; }

  // Of those two.
  Component(const EngineHandle& engine, WwComponent* raw, kj::String id, uint64_t footprint);
  ~Component() noexcept(false);
  KJ_DISALLOW_COPY_AND_MOVE(Component);

  kj::Own<const Component> addRef() const { return kj::atomicAddRef(*this); }

  // The same, with a count of its own, but for what the engine counts: for a loop that starts many
  // guests of it while others do. Two processors that count in one place by turns wait for it.
  kj::Own<const Component> makeTwin() const;

  WwComponent* getRaw() const { return raw; }

 private:
  kj::Own<const EngineHandle> engine;  // outlived by nothing of it
  WwComponent* raw;
  const kj::String id;
  const uint64_t footprint;
};

// What the instances of a component with these bytes take, beside their memories and tables, and
// at the most: its globals, and so on. Throws `overloaded: instances` for more than a cell may have
// at its start. What is malformed has none. Any thread; takes as long as reading all of it.
uint64_t footprintOf(kj::ArrayPtr<const kj::byte> wasm);

// Is the component itself to blame, rather than the node? Its reason begins `not a component: ` or
// `this component cannot run here: `.
bool isComponentProblem(const kj::Exception& exception);

// One that says that it cannot run here, and why.
kj::Exception componentProblem(kj::StringPtr why);

// The content id of `bytes`, as one block: version 1, raw, blake3, in base32. The name under which
// code is cached, and what people see.
kj::String contentId(kj::ArrayPtr<const kj::byte> bytes);

// XXH3-128 of `bytes`, as 32 hexadecimal digits: whether they are as they were. Against accidents,
// not against somebody who means to change them.
kj::String checksum(kj::ArrayPtr<const kj::byte> bytes);

}  // namespace ww::ffi
