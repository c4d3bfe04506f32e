// Whatever is called on a cell's streams, in any order: they give what was written, in its order,
// and nothing breaks. Each byte of an input is a call on one of them, given up or waited for.
#include <kj/debug.h>
#include <deque>
#include <ww/cell/process-server.h>
#include "cell-host.h"

namespace ww {
namespace {

using peer::ByteStream;
using peer::Process;

// `cat`, and who calls its streams.
class World {
 public:
  World(CellHost& host, kj::ArrayPtr<const kj::byte> cat): host(host) {
    CellBuilder builder(host.parts());
    auto args = kj::heapArray<kj::String>(1);
    args[0] = kj::str("cat");
    builder.args(kj::mv(args));
    auto cell = builder.start(kj::heapArray<const kj::byte>(cat),
                              kj::addRef(*group)).wait(host.waitScope);
    process = kj::heap<ProcessServer>(*lease, kj::mv(cell));
  }
  ~World() noexcept(false) {
    calls.clear();
    for (auto& stream: streams) stream = nullptr;
    process = nullptr;
    group->end();
    group = nullptr;
    host.settle();
  }

  void act(kj::byte choice, kj::byte more) {
    kj::uint which = choice % STREAMS;
    switch (choice / STREAMS % 8) {
      case 0: return write(which, more * more);
      case 1: return read(which, SIZES[more % 6]);
      case 2: return add(streams[which].closeRequest().send().ignoreResult());
      case 3: streams[which] = open(which); return;
      case 4: if (!calls.empty()) calls.erase(calls.begin() + more % calls.size()); return;
      case 5: host.waitScope.poll(more % 32); return;
      case 6: return add(process.waitRequest().send().ignoreResult());
      case 7:
        if (more == 0) return add(process.killRequest().send().ignoreResult());
        if (more == 1) host.source.advance();  // the session's end, in the middle of it all
        return add(process.infoRequest().send().ignoreResult());
    }
  }

 private:
  static constexpr kj::uint STREAMS = 3;
  static constexpr uint32_t SIZES[] = {0, 1, 100, 65536, 65537, 0xffffffff};

  CellHost& host;
  kj::Own<CellGroup> group = kj::refcounted<CellGroup>();
  kj::Own<Lease> lease = host.heads.issue();
  Process::Client process = nullptr;
  ByteStream::Client streams[STREAMS] = {open(0), open(1), open(2)};
  std::deque<kj::Promise<void>> calls;
  uint64_t written = 0, seen = 0;

  ByteStream::Client open(kj::uint which) {
    return kj::evalLater([this, which]() -> ByteStream::Client {
      switch (which) {
        case 0: return process.stdinRequest().send().getStream();
        case 1: return process.stdoutRequest().send().getStream();
        default: return process.stderrRequest().send().getStream();
      }
    });
  }

  void add(kj::Promise<void> call) {
    calls.push_back(call.eagerlyEvaluate([](kj::Exception&&) {}));
    if (calls.size() > 100) calls.pop_front();
  }

  void write(kj::uint which, size_t size) {
    auto request = streams[which].writeRequest();
    auto data = request.initData(size);
    if (which == 0) {
      for (auto& byte: data) byte = kj::byte(written++ * 7);
    }
    add(request.send().ignoreResult());
  }

  void read(kj::uint which, uint32_t most) {
    auto request = streams[which].readRequest();
    request.setMaxBytes(most);
    add(request.send().then([this, which, most](capnp::Response<ByteStream::ReadResults>&& r) {
      auto data = r.getData();
      KJ_ASSERT(data.size() <= kj::min(most, MAX_READ_BYTES) && which != 0);
      KJ_ASSERT(which == 1 || data.size() == 0, "it writes nothing to stderr");
      // A write that was refused leaves a gap, so that what comes is later than what was expected,
      // or the same: never earlier.
      seen += data.size();
      KJ_ASSERT(seen <= written, seen, written);
    }));
  }
};

}  // namespace
}  // namespace ww

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& host = *new ww::CellHost();
  static const auto& cat = *new auto(ww::readFile(WW_CELL));
  ww::World world(host, cat);
  for (size_t i = 0; i + 1 < size && i < 400; i += 2) world.act(data[i], data[i + 1]);
  return 0;
}
