// What a node boots: pid0. It grafts onto the node's epoch, and asks it for something. With the
// argument `serve` it then stays, until the node ends it.
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <ww/guest.h>

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;

WW_GUEST_MAIN(guest) {
  auto membrane = guest.bootstrap<Membrane>();
  auto graft = co_await membrane.graftRequest().send();
  auto session = graft.getSession();

  auto request = session.getExtension().getExecutor().echoRequest();
  request.setMessage("hello");
  auto response = co_await request.send();

  ww::print(kj::str("@NAME@: epoch ", session.getIssuedEpoch().getSeq(), ": ",
                    response.getResponse(), "\n"));

  if (guest.args().size() > 0 && guest.args()[0] == "serve") co_await guest.onDisconnect();
}
