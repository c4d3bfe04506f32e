#include <ww/ffi/fence.h>

#include <ww/ffi/component.h>

namespace ww::ffi {
namespace {

// How a reason begins where the component is to blame.
constexpr kj::StringPtr NOT_COMPONENT = "not a component: "_kj;
constexpr kj::StringPtr NOT_LINKABLE = "this component cannot run here: "_kj;

kj::StringPtr prefix(uint32_t kind) {
  if (kind == WW_NOT_COMPONENT) return NOT_COMPONENT;
  if (kind == WW_NOT_LINKABLE) return NOT_LINKABLE;
  return ""_kj;
}

}  // namespace

kj::String takeText(WwBytes bytes) {
  KJ_DEFER(ww_bytes_drop(bytes));
  if (bytes.len == 0) return nullptr;  // as after most polls
  return kj::heapString(reinterpret_cast<const char*>(bytes.ptr), bytes.len);
}

kj::Exception takeError(WwError& error) {
  auto text = takeText(error.text);
  auto type = error.kind == WW_RESOURCES ? kj::Exception::Type::OVERLOADED
                                         : kj::Exception::Type::FAILED;
  return kj::Exception(type, __FILE__, __LINE__, kj::str(prefix(error.kind), text));
}

kj::Exception componentProblem(kj::StringPtr why) {
  return kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                       kj::str(NOT_LINKABLE, why));
}

bool isComponentProblem(const kj::Exception& exception) {
  auto reason = exception.getDescription();
  return reason.startsWith(NOT_COMPONENT) || reason.startsWith(NOT_LINKABLE);
}

}  // namespace ww::ffi
