// What a node boots: pid0. It grafts onto the node's epoch, and has the node echo a greeting,
// which is a file of the image. With the argument `serve` it then stays, until the node ends it.
#include <membrane.capnp.h>
#include <stem.capnp.h>
#include <stdio.h>
#include <string.h>
#include <ww/guest.h>

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;

// The first line of the project's etc/greeting.
static kj::String readGreeting() {
  char line[80] = "";
  if (FILE* file = fopen("/etc/greeting", "r")) {
    if (fgets(line, sizeof(line), file) != nullptr) line[strcspn(line, "\n")] = 0;
    fclose(file);
  }
  return kj::str(line);
}

WW_GUEST_MAIN(guest) {
  auto membrane = guest.bootstrap<Membrane>();
  auto graft = co_await membrane.graftRequest().send();
  auto session = graft.getSession();

  auto request = session.getExtension().getExecutor().echoRequest();
  request.setMessage(readGreeting());
  auto response = co_await request.send();

  ww::print(kj::str("@NAME@: epoch ", session.getIssuedEpoch().getSeq(), ": ",
                    response.getResponse(), "\n"));

  if (guest.args().size() > 0 && guest.args()[0] == "serve") co_await guest.onDisconnect();
}
