#pragma once
// Components made by hand, for what no compiler makes.

#include <kj/vector.h>
#include <stdint.h>

namespace ww {

using Bytes = kj::Vector<kj::byte>;

// WebAssembly's way with sizes: seven bits a byte, the least significant first.
inline void addLeb(Bytes& to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.add(kj::byte(value) | 0x80);
  to.add(kj::byte(value));
}

inline void addSection(Bytes& to, kj::byte id, kj::ArrayPtr<const kj::byte> content) {
  to.add(id);
  addLeb(to, content.size());
  to.addAll(content);
}

inline Bytes emptyModule() {
  constexpr kj::byte HEAD[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
  Bytes bytes;
  bytes.addAll(kj::arrayPtr(HEAD, sizeof(HEAD)));
  return bytes;
}

inline Bytes emptyComponent() {
  constexpr kj::byte HEAD[] = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  Bytes bytes;
  bytes.addAll(kj::arrayPtr(HEAD, sizeof(HEAD)));
  return bytes;
}

// The core modules that stand in a component itself.
inline kj::uint countModules(kj::ArrayPtr<const kj::byte> component) {
  constexpr kj::byte MODULE = 1;
  kj::uint count = 0;
  for (size_t at = 8; at < component.size();) {
    count += component[at++] == MODULE;
    uint64_t size = 0;
    for (kj::uint shift = 0;; shift += 7) {
      auto byte = component[at++];
      size |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return count;
}

// `component`, and beside what it does so many instances of a module.
inline kj::Array<kj::byte> withInstances(kj::ArrayPtr<const kj::byte> component,
                                         kj::ArrayPtr<const kj::byte> module, kj::uint count) {
  Bytes bytes, instances;
  bytes.addAll(component);
  addSection(bytes, 1, module);
  addLeb(instances, count);
  for (kj::uint i = 0; i < count; i++) {
    instances.add(0);  // of a module
    addLeb(instances, countModules(component));
    instances.add(0);  // which imports nothing
  }
  addSection(bytes, 2, instances);
  return bytes.releaseAsArray();
}

// A function of so many steps over 200 locals, each of which depends on others and is looked at.
inline Bytes slowFunction(kj::uint steps) {
  Bytes body;
  addLeb(body, 1);  // one run of locals
  addLeb(body, 200);
  body.add(0x7e);  // i64
  for (kj::uint i = 0; i < steps; i++) {
    body.add(0x20);  // local.get
    addLeb(body, i * 7 % 200);
    body.add(0x20);
    addLeb(body, i * 13 % 200);
    body.add(0x7e);  // i64.mul
    body.add(0x22);  // local.tee
    addLeb(body, i * 31 % 200);
    body.add(0x24);  // global.set
    body.add(0);
  }
  body.add(0x0b);  // end
  return body;
}

// A component of one module that nobody instantiates.
inline kj::Array<kj::byte> componentOf(kj::uint functions, kj::uint steps) {
  constexpr kj::byte TYPES[] = {1, 0x60, 0, 0};                  // () -> ()
  constexpr kj::byte GLOBALS[] = {1, 0x7e, 1, 0x42, 0, 0x0b};  // a mutable i64
  Bytes declared, code;
  auto module = emptyModule(), component = emptyComponent();
  auto body = slowFunction(steps);
  addLeb(declared, functions);
  addLeb(code, functions);
  for (kj::uint i = 0; i < functions; i++) {
    declared.add(0);
    addLeb(code, body.size());
    code.addAll(body);
  }
  addSection(module, 1, kj::arrayPtr(TYPES, sizeof(TYPES)));
  addSection(module, 3, declared);
  addSection(module, 6, kj::arrayPtr(GLOBALS, sizeof(GLOBALS)));
  addSection(module, 10, code);
  addSection(component, 1, module);
  return component.releaseAsArray();
}

}  // namespace ww
