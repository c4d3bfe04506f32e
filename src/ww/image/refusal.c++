#include <ww/image/refusal.h>

namespace ww {
namespace {

// In place of the file that threw it: a copy has it too, and its words stay a person's alone.
constexpr kj::StringPtr MARK = "content"_kj;

}  // namespace

kj::Exception contentProblem(kj::StringPtr why) {
  return kj::Exception(kj::Exception::Type::FAILED, MARK.cStr(), __LINE__, kj::str(why));
}

bool isContentProblem(const kj::Exception& exception) {
  return exception.getFile() == MARK;
}

}  // namespace ww
