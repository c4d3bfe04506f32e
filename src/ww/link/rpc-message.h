#pragma once
// What a link does to single messages of Cap'n Proto's RPC on their way in and out.

#include <capnp/rpc.h>
#include <capnp/rpc.capnp.h>

namespace ww {

// What the RPC system gets in place of a message that was dealt with: a Finish of a question that
// nobody asked, which it ignores.
kj::Own<capnp::IncomingRpcMessage> makeNothing();

// Why a message was not admitted: of one that is read more often than it may be, what is wrong
// with it.
kj::Exception inOwnTerms(kj::Exception&& exception);

// The answer to a call that nobody here has taken anything of.
void fillRefusal(capnp::rpc::Return::Builder ret, uint32_t question,
                 const kj::Exception& exception);

// A check of Cap'n Proto's own says what it compared, pointers too, and where: how this process is
// laid out is nobody's business.
void hideInsides(capnp::rpc::Message::Builder message);

}  // namespace ww
