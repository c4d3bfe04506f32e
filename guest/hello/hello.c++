// The smallest guest that does something: the README shows it.
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

  ww::print(kj::str("epoch ", session.getIssuedEpoch().getSeq(), ": ",
                    response.getResponse(), "\n"));
}
