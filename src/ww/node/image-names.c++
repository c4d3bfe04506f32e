// How new the newest records of IPNS were that were seen, as ImageStore keeps it.
#include <ww/node/image-store.h>

#include <kj/debug.h>
#include <ww/node/image-batch.h>

namespace ww {

kj::Maybe<IpnsMemory::Seen> ImageStore::findSeen(const IpnsName& name) {
  return db->findName(name.getKey().bytes);
}

void ImageStore::setSeen(const IpnsName& name, const IpnsMemory::Seen& seen) {
  kj::ArrayPtr<const kj::byte> key = name.getKey().bytes;
  auto write = [&](Database& db) {
    auto before = db.findName(key).orDefault(seen);
    db.setName(key, before < seen ? seen : before, now());
    db.keepNames(MAX_NAMES);
  };
  bool isNew = true;
  KJ_IF_MAYBE(before, db->findName(key)) isNew = *before < seen;
  if (isNew) return db->commitDurably(write);
  tryNow([&]() {  // that it was looked for
    SqliteTransaction transaction(db->file);
    write(*db);
    transaction.commit();
  });
}

// What is written waits for its turn by the timer.
class ImageStore::Names final: public IpnsMemory {
 public:
  Names(ImageStore& store, kj::Timer& timer): store(store), timer(timer) {}

  kj::Maybe<Seen> findSeen(const IpnsName& name) override { return store.findSeen(name); }
  kj::Promise<void> setSeen(const IpnsName& name, const Seen& seen) override {
    return store.whenFree(timer, [&store = store, key = name.getKey(), seen]() {
      store.setSeen(IpnsName::of(key), seen);
    }).catch_([text = name.toText()](kj::Exception&& e) {
      e.setDescription(kj::str("/ipns/", text, ": that its record was seen cannot be kept: ",
                               e.getDescription()));
      kj::throwFatalException(kj::mv(e));
    });
  }

 private:
  ImageStore& store;
  kj::Timer& timer;
};

kj::Own<IpnsMemory> ImageStore::makeNames(kj::Timer& timer) {
  return kj::heap<Names>(*this, timer);
}

}  // namespace ww
