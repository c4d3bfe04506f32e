#pragma once
// Hands an image to a node that speaks Kubo's RPC: its CAR file, as one POST to
// /api/v0/dag/import, which also pins the root. It is sent as it is written, and is whole nowhere.
//
// The node is not believed: what it answers is bounded, has to name the root that was sent, and has
// to come in time, after all was taken. Lives on one event loop. Dropping the promise gives the
// import up.

#include <kj/async-io.h>
#include <kj/compat/http.h>
#include <kj/function.h>
#include <kj/timer.h>
#include <ww/image/car-writer.h>

namespace ww {

// Where such a node is: http or https, a host, and a path in front of /api, where it has one; or,
// as Kubo itself writes it, a multiaddr such as /ip4/127.0.0.1/tcp/5001. Without a `/` at its end.
// Throws for what is none, without showing it.
kj::String readKuboUrl(kj::StringPtr text);

class KuboImport final {
 public:
  // `client` takes absolute URLs. `patience`: so long the node may take nothing, and then its whole
  // answer may take. All references outlive the promises.
  KuboImport(kj::HttpClient& client, const kj::HttpHeaderTable& table, kj::Timer& timer,
             kj::String url, kj::Duration patience);
  KJ_DISALLOW_COPY_AND_MOVE(KuboImport);

  // The URL's scheme and host. Its path, which may be a key, is shown to nobody.
  kj::StringPtr getName() const { return name; }

  // Writes all of a CAR file.
  using WriteCar = kj::Function<kj::Promise<void>(kj::AsyncOutputStream& out)>;

  // Resolves when the node has all of it, and has pinned `root`. Rejects with the node's name and
  // what it said, or as `writeCar` does. `boundary`: 64 bits that are not in the file. Once at a
  // time.
  kj::Promise<void> import(WriteCar writeCar, const Cid& root, uint64_t boundary);

 private:
  class Body;

  kj::Promise<void> send(WriteCar writeCar, const Cid& root, uint64_t boundary);
  kj::Promise<void> write(Body& body, kj::StringPtr mark, WriteCar writeCar);
  kj::Promise<void> untilSilent();
  void requireRoot(kj::StringPtr answer, const Cid& root) const;
  [[noreturn]] void fail(kj::StringPtr why) const;

  kj::HttpClient& client;
  const kj::HttpHeaderTable& table;
  kj::Timer& timer;
  const kj::String url, name;
  const kj::Duration patience;
  kj::TimePoint moved = kj::origin<kj::TimePoint>();  // when something was taken
};

}  // namespace ww
