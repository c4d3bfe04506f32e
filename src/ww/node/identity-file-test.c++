#include <ww/node/identity-file.h>

#include <kj/test.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

kj::String refusal(kj::StringPtr folder) {
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { loadOrMakeIdentity(folder); })) {
    return kj::str(e->getDescription());
  }
  return kj::str("taken");
}

KJ_TEST("made once, for its user only, and the same ever after") {
  TempFolder folder;
  auto first = loadOrMakeIdentity(folder.at("data"));
  KJ_EXPECT(folder.mode("data") == 0700);
  KJ_EXPECT(folder.mode("data/identity.key") == 0600);
  auto second = loadOrMakeIdentity(folder.at("data"));
  KJ_EXPECT(first.getPeerId() == second.getPeerId());
  KJ_EXPECT(folder.list("data").size() == 1, "nothing else is left there");
  KJ_EXPECT(!(loadOrMakeIdentity(folder.at("other")).getPeerId() == first.getPeerId()));
}

KJ_TEST("a damaged or open key is refused, named, and left as it is") {
  TempFolder folder;
  loadOrMakeIdentity(folder.at("data"));
  auto path = folder.at("data/identity.key");
  auto good = folder.read("data/identity.key");
  auto half = kj::str(good.slice(0, 40)), more = kj::str(good, "x");
  for (kj::StringPtr bad: {kj::StringPtr(""), kj::StringPtr("garbage"), half.asPtr(),
                           more.asPtr()}) {
    folder.write("data/identity.key", bad);
    auto reason = refusal(folder.at("data"));
    KJ_EXPECT(reason.startsWith(kj::str(path, ": the key is damaged")), reason);
    KJ_EXPECT(reason.endsWith("move it away to get a new identity"), reason);
    KJ_EXPECT(folder.read("data/identity.key") == bad);
  }
  folder.write("data/identity.key", good, 0644);
  KJ_EXPECT(refusal(folder.at("data")) ==
            kj::str(path, ": others may use this key; run: chmod 600 ", path));
}

KJ_TEST("a link or a folder in its place is refused") {
  TempFolder folder;
  loadOrMakeIdentity(folder.at("data"));
  KJ_SYSCALL(rename(folder.at("data/identity.key").cStr(), folder.at("moved").cStr()));
  KJ_SYSCALL(symlink(folder.at("moved").cStr(), folder.at("data/identity.key").cStr()));
  auto reason = refusal(folder.at("data"));
  KJ_EXPECT(reason.startsWith(folder.at("data/identity.key: cannot read the node's key")), reason);
}

KJ_TEST("something else in the key's place is refused at once") {
  TempFolder folder;
  KJ_SYSCALL(mkdir(folder.at("data").cStr(), 0700));
  KJ_SYSCALL(mkfifo(folder.at("data/identity.key").cStr(), 0600));
  KJ_EXPECT_THROW_MESSAGE("not a plain file", loadOrMakeIdentity(folder.at("data")));
}

}  // namespace
}  // namespace ww
