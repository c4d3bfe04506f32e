// A child cell: all it has is a Host. It takes the Host's executor and makes two echo calls, one
// after the other. Its arguments, if any, are the messages.
#include <kj/vector.h>
#include <peer.capnp.h>
#include <ww/guest.h>

WW_GUEST_MAIN(guest) {
  auto host = guest.bootstrap<ww::peer::Host>();
  auto executor = host.executorRequest().send().getExecutor();

  kj::Vector<kj::StringPtr> messages;
  messages.addAll(guest.args());
  if (messages.empty()) {
    messages.add("hello");
    messages.add("world");
  }
  for (auto message: messages) {
    auto request = executor.echoRequest();
    request.setMessage(message);
    auto response = co_await request.send();
    ww::print(kj::str("child-echo: ", response.getResponse(), "\n"));
  }
}
