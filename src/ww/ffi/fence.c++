#include <ww/ffi/fence.h>

#include <kj/debug.h>
#include <ww/ffi/component.h>

namespace ww::ffi {
namespace {

// Marks an exception as the component's fault. The value is a random number.
constexpr kj::Exception::DetailTypeId COMPONENT_PROBLEM = 0x9b6a31f0c7d2e845ull;

}  // namespace

kj::String takeText(WwBytes bytes) {
  auto text = kj::heapString(reinterpret_cast<const char*>(bytes.ptr), bytes.len);
  ww_bytes_drop(bytes);
  return text;
}

kj::Exception takeError(WwError& error) {
  auto text = takeText(error.text);
  auto type = error.kind == WW_RESOURCES ? kj::Exception::Type::OVERLOADED
                                         : kj::Exception::Type::FAILED;
  kj::Exception exception(type, __FILE__, __LINE__, kj::mv(text));
  if (error.kind == WW_NOT_COMPONENT || error.kind == WW_NOT_LINKABLE) {
    exception.setDetail(COMPONENT_PROBLEM, kj::heapArray<kj::byte>(0));
  }
  return exception;
}

bool isComponentProblem(const kj::Exception& exception) {
  return exception.getDetail(COMPONENT_PROBLEM) != nullptr;
}

}  // namespace ww::ffi
