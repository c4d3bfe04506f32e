// What a session sees of its cells: their records, their logs, and what may be detached.
#include <ww/cell/cell-list.h>

#include <kj/test.h>
#include "test-node.h"

namespace ww {
namespace {

using peer::Cells;

struct Fixture {
  TestNode node;

  Cells::Client cells() { return node.executor.cellsRequest().send().getCells(); }
  auto list() { return cells().listRequest().send().wait(node.waitScope); }
  auto info(Process::Client process) {
    return process.infoRequest().send().wait(node.waitScope);
  }
  uint64_t detach(Process::Client process) {
    return process.detachRequest().send().wait(node.waitScope).getId();
  }
  ByteStream::Client log(uint64_t id, bool follow) {
    auto request = cells().logRequest();
    request.setId(id);
    request.setFollow(follow);
    return request.send().getStream();
  }
  kj::String failure(kj::Promise<void> promise) {
    return promise.then([]() { return kj::str(); }, [](kj::Exception&& e) {
      return kj::str(e.getDescription());
    }).wait(node.waitScope);
  }
};

KJ_TEST("a cell's record: whose it is, what it runs, how it ended") {
  Fixture f;
  auto process = f.node.run("cell-plain", {"park", "some", "words"});
  auto running = f.info(process);
  auto info = running.getInfo();
  KJ_EXPECT(info.getId() == 1 && info.getParent() == 0 && info.getSession() == 1);
  KJ_EXPECT(info.getState().isRunning() && !info.getDetached());
  KJ_EXPECT(info.getComponent().startsWith("bafkr4i"));
  KJ_ASSERT(info.getArgs().size() == 3);
  KJ_EXPECT(info.getArgs()[2] == "words");
  KJ_EXPECT(info.getStartedAtMs() > 0);
  f.node.close(TestNode::stdin(process));
  KJ_EXPECT(f.node.wait(process) == 0);
  KJ_EXPECT(f.info(process).getInfo().getState().getExitCode() == 0);

  auto trapped = f.node.run("cell-plain", {"trap"});
  KJ_EXPECT(f.node.wait(trapped) == EXIT_TRAP);
  auto list = f.list();
  KJ_ASSERT(list.getCells().size() == 2);
  KJ_EXPECT(list.getCells()[1].getState().getExitCode() == EXIT_TRAP);
  KJ_EXPECT(list.getCells()[1].getCause().size() > 0);
}

KJ_TEST("the last 64 that ended are kept, and 1 KiB of arguments") {
  Fixture f;
  auto text = kj::heapString(600);
  memset(text.begin(), 'x', text.size());
  auto held = f.node.run("cell-plain", {"park", text, text});
  KJ_EXPECT(f.info(held).getInfo().getArgs().size() == 2);
  for (size_t i = 0; i < CellList::KEPT + 3; i++) {
    KJ_EXPECT(f.node.runToEnd("cell-plain", {"exit", "3"}).code == 3);
  }
  auto list = f.list();
  KJ_EXPECT(list.getCells().size() == CellList::KEPT + 1);
  KJ_EXPECT(list.getCells()[0].getState().isRunning());
  KJ_EXPECT(list.getCells()[1].getId() == 5);
  auto find = f.cells().findRequest();
  find.setId(2);
  KJ_EXPECT(f.failure(find.send().ignoreResult()).endsWith("there is no cell 2 here, or no more"));
}

KJ_TEST("one that has ended is found without a process; one that runs can be killed") {
  Fixture f;
  f.node.runToEnd("cell-plain", {"exit", "3"});
  auto process = f.node.run("cell-plain", {"park"});
  auto find = f.cells().findRequest();
  find.setId(1);
  auto found = find.send().wait(f.node.waitScope);
  KJ_EXPECT(!found.hasProcess() && found.getInfo().getState().getExitCode() == 3);
  find = f.cells().findRequest();
  find.setId(2);
  find.send().getProcess().killRequest().send().wait(f.node.waitScope);
  KJ_EXPECT(f.node.wait(process) == EXIT_KILLED);
}

KJ_TEST("a detached cell's log: both streams, the last 256 KiB, followed to its end") {
  Fixture f;
  auto process = f.node.run("cell-plain", {"out", "300000"});
  auto id = f.detach(process);
  KJ_EXPECT(f.detach(process) == id, "again: the same");
  KJ_EXPECT(f.node.wait(process) == 0);
  auto whole = f.node.readAll(f.log(id, true));
  KJ_EXPECT(whole.size() == CellLog::MAX_BYTES);
  KJ_EXPECT(contains(whole, "done\n"));
  KJ_EXPECT(f.node.readAll(f.log(id, false)) == whole, "every reader from its own place");

  auto waiting = f.node.run("cell-plain", {"park"});
  auto waitingId = f.detach(waiting);
  auto stream = f.log(waitingId, true);
  // It may come in pieces.
  auto line = [&](ByteStream::Client from) {
    kj::String text;
    while (!text.endsWith("\n")) text = kj::str(text, f.node.read(from, 100).asChars());
    return text;
  };
  KJ_EXPECT(line(stream) == "parked\n");
  auto more = stream.readRequest();
  more.setMaxBytes(100);
  auto rest = more.send();
  KJ_EXPECT(!rest.poll(f.node.waitScope));
  auto closed = f.log(waitingId, true);
  line(closed);
  auto given = closed.readRequest();
  given.setMaxBytes(100);
  auto up = given.send();
  KJ_EXPECT(!up.poll(f.node.waitScope));
  f.node.close(closed);
  KJ_EXPECT(up.wait(f.node.waitScope).getData().size() == 0);
  KJ_EXPECT(f.node.readAll(f.log(waitingId, false)) == "parked\n");
  f.node.close(TestNode::stdin(waiting));
  KJ_EXPECT(rest.wait(f.node.waitScope).getData().size() == 0);
}

KJ_TEST("only detached cells have a log, and it is read only") {
  Fixture f;
  auto process = f.node.run("cell-plain", {"park"});
  auto why = f.failure(f.log(1, false).readRequest().send().ignoreResult());
  KJ_EXPECT(why.startsWith("cell 1 is not detached"), why);
  f.detach(process);
  why = f.failure(f.log(1, false).writeRequest().send().ignoreResult());
  KJ_EXPECT(why == "write: a log can only be read from", why);
}

}  // namespace
}  // namespace ww
