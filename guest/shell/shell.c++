// An image to talk to: a prompt over the session's capabilities. Lines come from stdin; end of file
// or `exit` ends it.
#include <kj/vector.h>
#include <membrane.capnp.h>
#include <stdlib.h>
#include <stem.capnp.h>
#include <ww/base58.h>
#include <ww/guest.h>
#include "words.h"

namespace {

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;
using Words = kj::ArrayPtr<const kj::String>;

constexpr kj::StringPtr PROMPT = "ww> "_kj;
constexpr size_t MAX_LINE_BYTES = 64 * 1024;

constexpr kj::StringPtr HELP =
    "help           this text\n"
    "echo ARGS...   have the node say it back\n"
    "id             the node's peer id\n"
    "peers          the peers that it is connected to\n"
    "epoch          the epoch of a fresh session\n"
    "exit [CODE]    end, with this exit code\n"
    "\n"
    "'...', \"...\" and \\ quote as in a shell. End of file (ctrl-D) ends it too.\n"_kj;

class Shell {
 public:
  // As pid0 it holds a Membrane; as a child, started with --host, a Host of one session.
  explicit Shell(ww::Guest& guest)
      : guest(guest), isChild(guest.args().size() > 0 && guest.args()[0] == "--host") {}

  kj::Promise<void> run() {
    for (;;) {
      ww::print(PROMPT);
      KJ_IF_MAYBE(line, co_await readLine()) {
        if (co_await runLine(*line)) co_return;
      } else {
        ww::print("\n");
        co_return;
      }
    }
  }

 private:
  ww::Guest& guest;
  const bool isChild;
  kj::Vector<char> input;  // read, not yet run

  // Nothing at the end of the input.
  kj::Promise<kj::Maybe<kj::String>> readLine() {
    kj::byte buffer[4096];
    for (;;) {
      for (size_t i = 0; i < input.size(); i++) {
        if (input[i] == '\n') co_return takeLine(i, i + 1);
      }
      auto n = co_await guest.input().tryRead(buffer, 1, sizeof(buffer));
      if (n == 0) {
        if (input.size() == 0) co_return nullptr;
        co_return takeLine(input.size(), input.size());
      }
      input.addAll(kj::arrayPtr(buffer, n).asChars());
      if (input.size() > MAX_LINE_BYTES && !hasLine()) {
        ww::printError("that line is too long\n");
        if (!co_await skipLine()) co_return nullptr;
      }
    }
  }

  bool hasLine() const {
    for (char c: input) {
      if (c == '\n') return true;
    }
    return false;
  }

  // Drops what there is of a line, and the rest of it. False at the end of the input.
  kj::Promise<bool> skipLine() {
    kj::byte buffer[4096];
    for (;;) {
      input.clear();
      auto n = co_await guest.input().tryRead(buffer, 1, sizeof(buffer));
      if (n == 0) co_return false;
      input.addAll(kj::arrayPtr(buffer, n).asChars());
      for (size_t i = 0; i < input.size(); i++) {
        if (input[i] != '\n') continue;
        takeLine(i, i + 1);
        co_return true;
      }
    }
  }

  kj::String takeLine(size_t end, size_t next) {
    if (end > 0 && input[end - 1] == '\r') end--;
    auto line = kj::str(input.asPtr().slice(0, end));
    kj::Vector<char> rest;
    rest.addAll(input.asPtr().slice(next, input.size()));
    input = kj::mv(rest);
    return line;
  }

  // True when the shell is to end. A command that fails is said, and the shell goes on.
  kj::Promise<bool> runLine(kj::StringPtr line) {
    auto split = ww::splitWords(line);
    KJ_IF_MAYBE(problem, split.tryGet<kj::StringPtr>()) {
      ww::printError(kj::str(*problem, "\n"));
      co_return false;
    }
    auto words = kj::mv(split.get<kj::Array<kj::String>>());
    if (words.size() == 0) co_return false;
    if (words[0] == "exit") co_return exit(words);
    auto outcome = co_await ww::attempt(runCommand(words));
    KJ_IF_MAYBE(exception, outcome) ww::printError(kj::str(ww::reason(*exception), "\n"));
    co_return false;
  }

  bool exit(Words words) {
    if (words.size() == 1) return true;
    char* end;
    long code = strtol(words[1].cStr(), &end, 10);
    if (words.size() > 2 || words[1].size() == 0 || *end != '\0' || code < 0 || code > 255) {
      ww::printError("exit takes one code, from 0 to 255\n");
      return false;
    }
    guest.exitWith(code);
    return true;
  }

  kj::Promise<void> runCommand(Words words) {
    auto name = words[0].asPtr();
    if (name == "help") ww::print(HELP);
    else if (name == "echo") co_await echo(words.slice(1, words.size()));
    else if (name == "id") co_await showId();
    else if (name == "peers") co_await showPeers();
    else if (name == "epoch") co_await showEpoch();
    else ww::printError(kj::str("unknown command: ", name, " (`help` lists them)\n"));
  }

  // A session is grafted for each command, so that none is ever stale; a child has but one.
  ww::peer::Host::Client host() {
    if (isChild) return guest.bootstrap<ww::peer::Host>();
    return guest.bootstrap<Membrane>().graftRequest().send().getSession().getExtension().getHost();
  }

  kj::Promise<void> echo(Words words) {
    auto request = host().executorRequest().send().getExecutor().echoRequest();
    request.setMessage(kj::strArray(words, " "));
    auto response = co_await request.send();
    ww::print(kj::str(response.getResponse(), "\n"));
  }

  kj::Promise<void> showId() {
    auto response = co_await host().idRequest().send();
    ww::print(kj::str(ww::encodeBase58(response.getPeerId()), "\n"));
  }

  kj::Promise<void> showPeers() {
    auto response = co_await host().peersRequest().send();
    for (auto peer: response.getPeers()) {
      ww::print(kj::str(ww::encodeBase58(peer.getPeerId()), "\n"));
    }
  }

  kj::Promise<void> showEpoch() {
    if (isChild) {
      ww::print("a child's shell cannot tell: it has a Host, not a session\n");
      co_return;
    }
    auto response = co_await guest.bootstrap<Membrane>().graftRequest().send();
    ww::print(kj::str(response.getSession().getIssuedEpoch().getSeq(), "\n"));
  }
};

}  // namespace

WW_GUEST_MAIN(guest) {
  Shell shell(guest);
  co_await shell.run();
}
